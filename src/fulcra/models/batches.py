"""Rows of token ids as padded batches of bounded size, in their order."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.models.adapter import Model


class Batch(NamedTuple):
    """Consecutive rows padded together: their slice of all rows, token ids and mask [row, pos]."""

    rows: slice
    ids: Tensor
    mask: Tensor
    left: bool

    @property
    def inputs(self) -> dict[str, Tensor]:
        """Keywords of a transformers model; position ids only where pads stand before the text."""
        inputs = {"input_ids": self.ids, "attention_mask": self.mask}
        return inputs | {"position_ids": positions_of(self.mask)} if self.left else inputs


def padded(
    rows: Sequence[Sequence[int]], device: torch.device, left: bool = False
) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask [row, pos] of rows of unequal length."""
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        span = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, span], mask[i, span] = torch.tensor(row, dtype=torch.long), 1
    return ids.to(device), mask.to(device)


def positions_of(mask: Tensor) -> Tensor:
    """Position ids [row, pos] of an attention mask, 0 at the first real token of each row."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def batches(
    model: Model, rows: Sequence[Sequence[int]], size: int, left: bool = False
) -> Iterator[Batch]:
    """Batches of at most `size` rows on the model's device; `left` puts pads before the text."""
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        yield Batch(part, *padded(rows[part], model.device, left), left)
