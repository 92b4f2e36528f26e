"""The ceiling forecast from divergence on generic text, .8 nat a token (law.md section 4)."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from fulcra.engines.generic import GenericText
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.divergence import CleanTokens
from fulcra.ladders.passes import Texts, clean_vectors, dosed_vectors
from fulcra.ladders.search import bisected
from fulcra.models import Model
from fulcra.models.unembedding import logit_blocks
from fulcra.types import Edge, Edit, Edits

#: Frozen: chosen on the development models before any held-out one, never fitted again.
LEVEL = 0.8
CEILING_GAINS = (0.1, 0.15, 0.22, 0.32, 0.45, 0.6, 0.8, 1.05, 1.4, 1.9, 2.6, 3.6, 5.0)
TEXTS = 16


def clean_tokens(model: Model, texts: Texts) -> CleanTokens:
    """The undosed distribution of every reply token; float32, held for all doses of a ladder."""
    blocks = logit_blocks(model, clean_vectors(model, texts))
    parts = [CleanTokens.of(logits) for _, logits in blocks]
    return CleanTokens(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def divergences(
    model: Model, texts: Texts, clean: CleanTokens, edits: Sequence[Edit | Edits]
) -> Iterator[tuple[int, Tensor]]:
    """The place of every edit with its KL at each continuation position, nats, [position]."""
    for places, vectors in dosed_vectors(model, texts, edits):
        for place, dosed in zip(places, vectors, strict=True):
            nats = [clean.rows(rows).kl_nats(logits) for rows, logits in logit_blocks(model, dosed)]
            yield place, torch.cat(nats)


def _means(model: Model, texts: Texts, clean: CleanTokens, edits: Sequence[Edit | Edits]) -> Tensor:
    means = torch.empty(len(edits))
    for place, nats in divergences(model, texts, clean, edits):
        means[place] = nats.mean()
    return means


def edit_divergences(model: Model, edits: Sequence[Edit | Edits], text: GenericText) -> Tensor:
    """Mean KL(clean || edited) over continuation positions, nats a token, [edit]."""
    texts = Texts.of_pairs(model, text.prompts, text.replies)
    return _means(model, texts, clean_tokens(model, texts), edits)


def edit_quantiles(
    model: Model, edits: Sequence[Edit | Edits], text: GenericText, share: float
) -> Tensor:
    """The quantile `share` of KL(clean || edited) over continuation positions, nats, [edit]."""
    texts = Texts.of_pairs(model, text.prompts, text.replies)
    quantiles = torch.empty(len(edits))
    for place, nats in divergences(model, texts, clean_tokens(model, texts), edits):
        quantiles[place] = nats.quantile(share)
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
    clean = clean_tokens(model, texts)
    return bisected(
        branches, lambda doses: _means(model, texts, clean, doses), gains, LEVEL, "kl_ladder"
    )
