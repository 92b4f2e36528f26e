"""Clean passes that read a model: residual stream statistics, neuron activations, log-probabilities of replies."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fulcra.errors import InputError
from fulcra.formulas.geometry import centred
from fulcra.models.adapter import Model
from fulcra.models.edits import applied_rows
from fulcra.types import Edits, Neuron

#: Residual vectors kept per layer for the spread of the realised alignment.
SAMPLE = 256


@dataclass(frozen=True, slots=True)
class Stream:
    """The clean residual stream at block outputs over generic continuation positions, BOS excluded.

    norm [layer] is the mean |r|; unit_mean [layer, d_model] the mean of r/|r|, so that c0 = unit_mean . v/|v| exactly;
    sample [layer, pos, d_model] some of the vectors. Mean-centred in LayerNorm families. float32, on the CPU.
    """

    norm: Tensor
    unit_mean: Tensor
    sample: Tensor


def padded(rows: Sequence[Sequence[int]], device: torch.device, left: bool = False) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask [batch, pos] of rows of unequal length."""
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        span = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, span], mask[i, span] = torch.tensor(row, dtype=torch.long), 1
    return ids.to(device), mask.to(device)


def positions_of(mask: Tensor) -> Tensor:
    """Position ids [batch, pos] of an attention mask, 0 at the first real token of each row."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


@contextmanager
def block_outputs(model: Model) -> Iterator[dict[int, Tensor]]:
    """The residual stream at every block's output, filled while the model runs inside the block."""
    found: dict[int, Tensor] = {}

    def keep(layer: int) -> object:
        def hook(module: nn.Module, args: object, output: object) -> None:
            found[layer] = output if isinstance(output, Tensor) else output[0]  # type: ignore[index]

        return hook

    handles = [block.register_forward_hook(keep(layer)) for layer, block in enumerate(model.blocks)]  # type: ignore[arg-type]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def stream(model: Model, prompts: Sequence[tuple[int, ...]], replies: Sequence[tuple[int, ...]], batch: int = 16) -> Stream:
    """Residual statistics over the reply positions of clean generic text: one forward pass a batch."""
    norms, units, kept = torch.zeros(model.n_layers), torch.zeros(model.n_layers, model.d_model), []
    count = 0
    for start in range(0, len(prompts), batch):
        rows = [p + r for p, r in zip(prompts[start : start + batch], replies[start : start + batch], strict=True)]
        ids, mask = padded(rows, model.device)
        reply = mask.bool().clone()
        for i, prompt in enumerate(prompts[start : start + batch]):
            reply[i, : max(1, len(prompt))] = False
        with torch.no_grad(), block_outputs(model) as outputs:
            model.hf(input_ids=ids, attention_mask=mask, use_cache=False)
        residual = torch.stack([outputs[layer][reply].float().cpu() for layer in range(model.n_layers)])
        residual = as_read(model, residual)
        norms += residual.norm(dim=-1).sum(-1)
        units += torch.nn.functional.normalize(residual, dim=-1).sum(1)
        kept.append(residual)
        count += residual.shape[1]
    if count == 0:
        raise InputError("stream(): the generic text has no continuation positions; the model ends every reply at once")
    everything = torch.cat(kept, 1)
    stride = max(1, everything.shape[1] // SAMPLE)
    return Stream(norms / count, units / count, everything[:, ::stride][:, :SAMPLE].clone())


def as_read(model: Model, vectors: Tensor) -> Tensor:
    """Vectors as later blocks read them: mean-centred over d_model in LayerNorm families, unchanged elsewhere."""
    return centred(vectors) if model.family.stream == "layer" else vectors


def activations(model: Model, prompts: Sequence[tuple[int, ...]], batch: int = 32) -> Iterator[Tensor]:
    """Neuron activations at the last prompt token, one [batch, layer, d_mlp] float32 tensor a batch."""
    for start in range(0, len(prompts), batch):
        ids, mask = padded(prompts[start : start + batch], model.device, left=True)
        found: dict[int, Tensor] = {}

        def keep(layer: int, found: dict[int, Tensor] = found) -> object:
            def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
                found[layer] = args[0][:, -1].float()

            return hook

        handles = [model.down(layer).register_forward_pre_hook(keep(layer)) for layer in range(model.n_layers)]  # type: ignore[arg-type]
        try:
            with torch.no_grad():
                model.hf(input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=False, logits_to_keep=1)
        finally:
            for handle in handles:
                handle.remove()
        yield torch.stack([found[layer] for layer in range(model.n_layers)], 1)


def activation_range(model: Model, neurons: Sequence[Neuron], rows: Sequence[tuple[int, ...]], batch: int = 32) -> Tensor:
    """Smallest and largest activation of each neuron over all positions but the first, [neuron, 2]."""
    low, high = torch.full((len(neurons),), torch.inf), torch.full((len(neurons),), -torch.inf)
    for start in range(0, len(rows), batch):
        ids, mask = padded(rows[start : start + batch], model.device)
        real = mask.bool().clone()
        real[:, 0] = False

        def look(i: int, neuron: Neuron, real: Tensor = real) -> object:
            def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
                values = args[0][..., neuron.index][real].float()
                low[i], high[i] = min(low[i], values.min().cpu()), max(high[i], values.max().cpu())

            return hook

        handles = [model.down(n.layer).register_forward_pre_hook(look(i, n)) for i, n in enumerate(neurons)]  # type: ignore[arg-type]
        try:
            with torch.no_grad():
                model.hf(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1)
        finally:
            for handle in handles:
                handle.remove()
    return torch.stack([low, high], -1)


def reply_log_probs(
    model: Model, prompts: Sequence[tuple[int, ...]], replies: Sequence[tuple[int, ...]], edits: Sequence[Edits] | None = None, batch: int = 256
) -> list[Tensor]:
    """Log-probability (nats) of each reply token, teacher-forced; one float32 tensor [reply length] a row.

    With `edits`, row i runs under edits[i]. Rows are padded on the right, so no position moves.
    """
    out: list[Tensor] = []
    for start in range(0, len(prompts), batch):
        some = slice(start, start + batch)
        rows = [p + r for p, r in zip(prompts[some], replies[some], strict=True)]
        ids, mask = padded(rows, model.device)
        with torch.no_grad(), applied_rows(model, edits[some] if edits is not None else [()] * len(rows)):
            logits = model.hf(input_ids=ids, attention_mask=mask, use_cache=False).logits
        for i, (prompt, reply) in enumerate(zip(prompts[some], replies[some], strict=True)):
            span = logits[i, len(prompt) - 1 : len(rows[i]) - 1].float().log_softmax(-1)
            out.append(span.gather(-1, torch.tensor(reply, device=span.device, dtype=torch.long)[:, None])[:, 0].cpu())
    return out


def last_residuals(model: Model, prompts: Sequence[tuple[int, ...]], batch: int = 32) -> Iterator[Tensor]:
    """Residual stream at block outputs on the last prompt token, one [batch, layer, d_model] float32 tensor a batch."""
    for start in range(0, len(prompts), batch):
        ids, mask = padded(prompts[start : start + batch], model.device, left=True)
        with torch.no_grad(), block_outputs(model) as outputs:
            model.hf(input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=False, logits_to_keep=1)
        yield torch.stack([outputs[layer][:, -1].float().cpu() for layer in range(model.n_layers)], 1)


def natural_extent(model: Model, rows: Sequence[tuple[int, ...]], batch: int = 32) -> Tensor:
    """Largest |activation| of every neuron over all positions of `rows` but the first, [layer, d_mlp], float32."""
    extent = torch.zeros(model.n_layers, model.d_mlp)
    for start in range(0, len(rows), batch):
        ids, mask = padded(rows[start : start + batch], model.device)
        real = mask.bool()
        real[:, 0] = False

        def look(layer: int, real: Tensor = real) -> object:
            def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
                extent[layer] = torch.maximum(extent[layer], args[0][real].abs().amax(0).float().cpu())

            return hook

        handles = [model.down(layer).register_forward_pre_hook(look(layer)) for layer in range(model.n_layers)]  # type: ignore[arg-type]
        try:
            with torch.no_grad():
                model.hf(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1)
        finally:
            for handle in handles:
                handle.remove()
    return extent
