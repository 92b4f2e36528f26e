"""The ceiling forecast from divergence: the gain at which a dose costs .8 nat a token on generic text (LAW.md section 4)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fulcra.engines.generic import GenericText
from fulcra.formulas.divergence import kl_nats
from fulcra.formulas.intervals import crossing
from fulcra.ladders.passes import dosed_logits
from fulcra.models import Model
from fulcra.models.capture import padded
from fulcra.models.coordinate import Coordinate
from fulcra.types import Edge, Edit

#: Frozen: chosen on the development models before any held-out one, never fitted again.
LEVEL = 0.8
GAINS = (0.1, 0.15, 0.22, 0.32, 0.45, 0.6, 0.8, 1.05, 1.4, 1.9, 2.6, 3.6, 5.0)
TEXTS = 16


def reply_mask(text: GenericText, width: int) -> Tensor:
    """Positions [text, pos] whose next token is a continuation token."""
    mask = torch.zeros(len(text.prompts), width, dtype=torch.bool)
    for i, (prompt, reply) in enumerate(zip(text.prompts, text.replies, strict=True)):
        mask[i, len(prompt) - 1 : len(prompt) + len(reply) - 1] = True
    return mask


def edit_divergences(model: Model, edits: Sequence[Edit], text: GenericText) -> Tensor:
    """Mean KL(clean || edited) over continuation positions, nats a token, [edit]."""
    ids, attention = padded([p + r for p, r in zip(text.prompts, text.replies, strict=True)], model.device)
    where = reply_mask(text, ids.shape[1]).to(model.device)
    with torch.no_grad():
        clean = model.hf(input_ids=ids, attention_mask=attention, use_cache=False).logits[where]
    means = torch.empty(len(edits))
    for start, logits in dosed_logits(model, ids, attention, edits):
        for i, one in enumerate(logits):
            means[start + i] = kl_nats(clean, one[where]).mean().cpu()
    return means


def divergences(model: Model, branches: Sequence[Coordinate], text: GenericText, gains: Sequence[float] = GAINS) -> Tensor:
    """Mean KL(clean || dosed) over continuation positions, nats a token, [branch, gain]."""
    return edit_divergences(model, [at.dose(gain) for at in branches for gain in gains], text).unflatten(0, (len(branches), len(gains)))


def kl_ladder(model: Model, branches: Sequence[Coordinate], text: GenericText, gains: Sequence[float] = GAINS) -> list[Edge]:
    """The predicted ceiling of each branch; censored where KL stays below the level up to the last rung.

    Tier 2: dosed teacher-forced passes, nothing generated. Cost: len(branches) x len(gains) passes over 16 texts.
    """
    some = text.first(TEXTS)
    means = divergences(model, branches, some, gains).tolist()
    return [branch.edge(crossing(gains, row, LEVEL), "kl_ladder", 2) for branch, row in zip(branches, means, strict=True)]
