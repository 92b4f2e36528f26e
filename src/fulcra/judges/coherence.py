"""Is this one rollout coherent? Distinct n-grams, few surprising tokens (law.md section 5)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple

import torch

from fulcra.errors import InputError
from fulcra.formulas.degeneracy import distinct_ngram_ratio, surprised_share

#: Below this vocabulary a token is about a character, and four of them are no phrase yet.
CHARACTER_VOCAB = 200
#: The level of a uniform guess among 100 tokens [nats]: no clean text may push the standard beyond
#: it.
HIGHEST_LEVEL = 4.6


@dataclass(frozen=True, slots=True)
class CoherenceStandard:
    """What counts as coherent: a floor of distinct n-grams, a share of tokens above a level [nats].

    Clean rollouts set it.
    """

    ngram: int
    distinct_floor: float
    surprise_level: float
    surprised_share: float = 0.30

    def above(self, floor: float) -> "CoherenceStandard":
        """The standard with at least this floor of distinct n-grams.

        Such a floor is not learnt from the text that it judges.
        """
        return replace(self, distinct_floor=max(self.distinct_floor, floor))


class Coherence(NamedTuple):
    """Whether a rollout is coherent (None: unscored), its n-gram ratio and surprising share."""

    coherent: bool | None
    distinct: float | None
    surprised: float | None


def coherence_standard(
    clean_tokens: Sequence[Sequence[int]], clean_surprise: Sequence[Sequence[float]], vocab: int
) -> CoherenceStandard:
    """The standard of clean rollouts.

    Floor: min(.8, 3/4 of their mean ratio). Level: min(4.6, their 99th percentile + 1 nat). Clean
    rollouts all too short for an n-gram repeat nothing: their ratio is taken as 1.
    """
    flat = torch.tensor([value for row in clean_surprise for value in row], dtype=torch.float64)
    if not len(flat):
        raise InputError(
            f"coherence standard: {len(clean_tokens)} clean rollouts without one token; give"
            " prompts the model continues"
        )
    ngram = 8 if vocab < CHARACTER_VOCAB else 4
    ratios = [
        ratio for row in clean_tokens if (ratio := distinct_ngram_ratio(row, ngram)) is not None
    ]
    floor = min(0.8, 0.75 * (fmean(ratios) if ratios else 1.0))
    return CoherenceStandard(ngram, floor, min(HIGHEST_LEVEL, flat.quantile(0.99).item() + 1.0))


def coherent(
    tokens: Sequence[int],
    surprise: Sequence[float],
    standard: CoherenceStandard,
    ended: bool = True,
) -> Coherence:
    """The coherence of one rollout, from its tokens and the surprise [nats] of each.

    Unscored when empty, or when cut before it could hold an n-gram; a short reply that ended is
    judged by surprise alone.
    """
    if len(tokens) != len(surprise):
        raise InputError(
            f"coherent() got {len(tokens)} tokens and {len(surprise)} surprises: expected one a"
            " token, cut both alike"
        )
    distinct = distinct_ngram_ratio(tokens, standard.ngram)
    surprised = surprised_share(surprise, standard.surprise_level)
    if surprised is None or (distinct is None and not ended):
        return Coherence(None, distinct, surprised)
    return Coherence(
        (distinct is None or distinct >= standard.distinct_floor)
        and surprised <= standard.surprised_share,
        distinct,
        surprised,
    )
