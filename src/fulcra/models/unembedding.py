"""Logits only where they are needed: final vectors of a pass, unembedded in bounded blocks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from fulcra.errors import ModelCheckError
from fulcra.models.adapter import Model
from fulcra.models.read_hooks import hooked

#: Bytes of the float32 logits of one block: what follows them stays in the processor's caches.
BLOCK_BYTES = 16 << 20
#: Rows of a block at least: the unembedding is read once a block.
BLOCK_ROWS = 32


@contextmanager
def final_vectors(model: Model) -> Iterator[list[Tensor]]:
    """What every pass inside the block hands to the unembedding, [row, pos, d_model] a pass.

    The passes themselves make no logits. ModelCheckError where none came by.
    """
    vectors: list[Tensor] = []

    def hook(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        vectors.append(args[0])
        return (args[0][:0], *args[1:])

    with hooked([model.hf.get_output_embeddings().register_forward_pre_hook(hook)]):
        yield vectors
    if not vectors:
        raise ModelCheckError(
            f"model {model.name!r}: no hook ran at its unembedding; the model is compiled, or did"
            " not run: load it uncompiled"
        )


@torch.no_grad()
def logit_blocks(model: Model, vectors: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Consecutive rows of final vectors [row, d_model] with their float32 logits [row, vocab]."""
    size = max(BLOCK_ROWS, BLOCK_BYTES // (4 * model.vocab))
    for start in range(0, len(vectors), size):
        rows = slice(start, min(start + size, len(vectors)))
        yield rows, model.logits(vectors[rows]).float()


def chosen_log_probs(model: Model, vectors: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability [nats] of one token a row, [row]; from final vectors [row, d_model]."""
    out = torch.empty(len(vectors), device=vectors.device)
    for rows, logits in logit_blocks(model, vectors):
        chosen = logits.gather(-1, tokens[rows, None].to(logits.device))[:, 0]
        out[rows] = (chosen - logits.logsumexp(-1)).to(out.device)
    return out
