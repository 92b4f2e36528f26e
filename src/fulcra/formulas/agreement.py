"""How far raters agree beyond chance, on labels without an order."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence

from fulcra.errors import InputError


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Cohen's kappa of two raters over the same units, (observed - chance) / (1 - chance); nan
    where chance explains all.

    Chance is the product of the two raters' own label frequencies.
    """
    if len(first) != len(second):
        raise InputError(
            f"cohen_kappa() got {len(first)} and {len(second)} labels: expected one a unit from"
            " both raters"
        )
    n = len(first)
    if not n:
        return math.nan
    one, other = Counter(first), Counter(second)
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    chance = sum(one[label] * other[label] for label in one) / n**2
    return (observed - chance) / (1 - chance) if chance < 1 else math.nan


def krippendorff_alpha(units: Sequence[Sequence[Hashable | None]]) -> float:
    """Krippendorff's alpha for nominal labels, 1 - observed / expected disagreement; nan where
    nothing could disagree.

    Each unit holds the labels of its raters, None where one gave none; a unit with fewer than two
    labels pairs nothing.
    """
    rated = [
        Counter(found)
        for unit in units
        if len(found := [label for label in unit if label is not None]) > 1
    ]
    pooled = sum(rated, Counter[Hashable]())
    expected = _disagreeing(pooled)
    if not expected:
        return math.nan
    observed = sum(_disagreeing(labels) / (labels.total() - 1) for labels in rated)
    return 1 - (pooled.total() - 1) * observed / expected


def _disagreeing(labels: Counter[Hashable]) -> int:
    """The ordered pairs of different labels among these."""
    return labels.total() ** 2 - sum(count * count for count in labels.values())
