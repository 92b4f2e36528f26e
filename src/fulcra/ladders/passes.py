"""Teacher-forced passes of many doses at once: every dose runs on every text of one padded batch."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from fulcra.models import Model, applied_rows
from fulcra.types import Edit

#: Rows of one forward pass; the texts are repeated once a dose.
ROWS = 512


def dosed_logits(model: Model, ids: Tensor, mask: Tensor, doses: Sequence[Edit]) -> Iterator[tuple[int, Tensor]]:
    """(index of the first dose, logits [dose, text, pos, vocab]) for all doses, a few at a time."""
    per = max(1, ROWS // len(ids))
    for start in range(0, len(doses), per):
        some = doses[start : start + per]
        rows = [(dose,) for dose in some for _ in range(len(ids))]
        with torch.no_grad(), applied_rows(model, rows):
            logits = model.hf(input_ids=ids.repeat(len(some), 1), attention_mask=mask.repeat(len(some), 1), use_cache=False).logits
        yield start, logits.unflatten(0, (len(some), len(ids)))
