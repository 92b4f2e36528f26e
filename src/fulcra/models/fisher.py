"""How sharply predictions answer to a shift of the stream: the Fisher information of one pass."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fulcra.models.adapter import Model
from fulcra.models.batches import padded
from fulcra.models.read_hooks import hooked


def _adding(shift: Tensor) -> Any:
    """A hook that adds shift [row, d_model] at every position of a block's output."""

    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        if isinstance(output, Tensor):
            return output + shift[:, None]
        return (output[0] + shift[:, None], *output[1:])

    return hook


def fisher_factors(
    model: Model,
    prompts: Sequence[tuple[int, ...]],
    replies: Sequence[tuple[int, ...]],
    draws: int = 8,
    seed: int = 0,
) -> Tensor:
    """Vectors q [layer, sample, d_model] with sum_q (q . w)^2 = w' F w in the mean over draws.

    float32, on the CPU. F is the mean Fisher information of the next token over the reply
    positions, under one shift w of a block's output at all positions: KL(clean || shifted) = w' F w
    / 2 + O(w^3), nats a token. Every reply and draw gives one vector, the gradient of z . logits
    with z of covariance diag(p) - p p'. Cost: one forward pass and `draws` backward passes, for all
    layers at once.
    """
    ids, mask = padded([p + r for p, r in zip(prompts, replies, strict=True)], model.device)
    predicts = torch.zeros_like(mask, dtype=torch.bool)
    for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        predicts[row, max(0, len(prompt) - 1) : len(prompt) + len(reply) - 1] = True
    shifts = [
        torch.zeros(len(ids), model.d_model, device=model.device_at(i), dtype=model.dtype)
        for i in range(model.n_layers)
    ]
    handles = [
        block.register_forward_hook(_adding(shift.requires_grad_()))
        for block, shift in zip(model.blocks, shifts, strict=True)
    ]
    with torch.enable_grad(), hooked(handles):
        logits = model.hf(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
        root = logits.detach().softmax(-1).sqrt()
        generator = torch.Generator().manual_seed(seed)
        factors = [
            _gradients(logits, shifts, _noise(root, predicts, generator)) for _ in range(draws)
        ]
    return torch.cat(factors, 1) / math.sqrt(draws * int(predicts.sum()))


def _noise(root: Tensor, predicts: Tensor, generator: torch.Generator) -> Tensor:
    """Cotangents z = sqrt(p) xi - p (sqrt(p) . xi), of covariance diag(p) - p p', 0 elsewhere."""
    drawn = root * torch.randn(root.shape, generator=generator).to(root.device)
    cotangent: Tensor = drawn - root.square() * drawn.sum(-1, keepdim=True)
    return cotangent * predicts[..., None].to(root.device)


def _gradients(logits: Tensor, shifts: Sequence[Tensor], cotangent: Tensor) -> Tensor:
    gradients = torch.autograd.grad(logits, list(shifts), cotangent, retain_graph=True)
    return torch.stack([gradient.float().cpu() for gradient in gradients])
