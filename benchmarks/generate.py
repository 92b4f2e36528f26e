"""What one edit costs in a user's own generate call."""

from collections.abc import Callable

import torch
from pairs import Row, compare
from setting import TOKENS, Size, model, refused
from sweep import batch

from fulcra.engines.edit import edit
from fulcra.models import add
from fulcra.types import Neuron


def rows_of(wanted: Callable[[str], bool], rounds: int, size: Size) -> list[Row]:
    """One row: generate on 32 prompts under an edit of dose 0, against generate alone.

    The tokens are the same.
    """
    if not wanted("generate_overhead"):
        return []
    ids, mask = batch(refused(size.generate_prompts))

    def alone() -> torch.Tensor:
        out: torch.Tensor = model().generate(
            ids, attention_mask=mask, max_new_tokens=TOKENS, do_sample=False
        )
        return out

    def edited() -> torch.Tensor:
        with edit(model(), add(Neuron(3, 5), alpha=0.0)):
            return alone()

    edited(), alone()
    return [
        compare(
            "generate_overhead",
            "unmodified generate",
            [(edited, alone)] * (3 * rounds),
            torch.equal,
        )
    ]
