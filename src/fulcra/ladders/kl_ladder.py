"""The ceiling forecast from divergence on generic text, .8 nat a token (law.md section 4)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fulcra.engines.generic import GenericText
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.divergence import kl_nats
from fulcra.ladders.passes import Texts, clean_logits, dosed_logits
from fulcra.ladders.search import bisected
from fulcra.models import Model
from fulcra.types import Edge, Edit, Edits

#: Frozen: chosen on the development models before any held-out one, never fitted again.
LEVEL = 0.8
CEILING_GAINS = (0.1, 0.15, 0.22, 0.32, 0.45, 0.6, 0.8, 1.05, 1.4, 1.9, 2.6, 3.6, 5.0)
TEXTS = 16


def _means(model: Model, texts: Texts, clean: Tensor, edits: Sequence[Edit | Edits]) -> Tensor:
    means = torch.empty(len(edits), device=clean.device)
    for places, logits in dosed_logits(model, texts, edits):
        for place, dosed in zip(places, logits, strict=True):
            means[place] = kl_nats(clean, dosed[texts.where]).mean()
    return means.cpu()


def edit_divergences(model: Model, edits: Sequence[Edit | Edits], text: GenericText) -> Tensor:
    """Mean KL(clean || edited) over continuation positions, nats a token, [edit]."""
    texts = Texts.of_pairs(model, text.prompts, text.replies)
    return _means(model, texts, clean_logits(model, texts)[texts.where], edits)


def edit_quantiles(
    model: Model, edits: Sequence[Edit | Edits], text: GenericText, share: float
) -> Tensor:
    """The quantile `share` of KL(clean || edited) over continuation positions, nats, [edit]."""
    texts = Texts.of_pairs(model, text.prompts, text.replies)
    clean = clean_logits(model, texts)[texts.where]
    quantiles = torch.empty(len(edits))
    for places, logits in dosed_logits(model, texts, edits):
        for place, dosed in zip(places, logits, strict=True):
            quantiles[place] = kl_nats(clean, dosed[texts.where]).quantile(share)
    return quantiles


def kl_ladder(
    model: Model,
    branches: Sequence[Coordinate],
    text: GenericText,
    gains: Sequence[float] = CEILING_GAINS,
) -> list[Edge]:
    """The predicted ceiling of each branch; censored where KL stays below LEVEL on every rung.

    Tier 2: dosed teacher-forced passes, nothing generated. Cost: len(branches) x log2(len(gains) +
    1) passes over 16 texts, each from the dosed layer upwards; the edge is that of the whole ladder
    (`crossings`).
    """
    generic = text.first(TEXTS)
    texts = Texts.of_pairs(model, generic.prompts, generic.replies)
    clean = clean_logits(model, texts)[texts.where]
    return bisected(
        branches, lambda doses: _means(model, texts, clean, doses), gains, LEVEL, "kl_ladder"
    )
