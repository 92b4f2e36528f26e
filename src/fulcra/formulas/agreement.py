"""How far raters agree beyond chance, on labels without an order."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence

from fulcra.errors import InputError


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Cohen's kappa of two raters over the same units; nan where chance explains all.

    (observed - chance) / (1 - chance), chance by the two raters' own label frequencies.
    """
    if len(first) != len(second):
        raise InputError(
            f"cohen_kappa() got {len(first)} and {len(second)} labels: expected one a unit from"
            " both raters"
        )
    if len({*first, *second}) < 2:
        return math.nan
    # here, since scikit-learn takes a second to import and most runs have one judge
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(list(first), list(second)))


def krippendorff_alpha(units: Sequence[Sequence[Hashable | None]]) -> float:
    """Krippendorff's alpha for nominal labels; nan where nothing could disagree.

    1 - observed / expected disagreement. Each unit holds the labels of its raters, None where one
    gave none; a unit with fewer than two labels pairs nothing.
    """
    labels = (Counter(label for label in unit if label is not None) for unit in units)
    rated = [counts for counts in labels if counts.total() > 1]
    pooled = sum(rated, Counter[Hashable]())
    expected = _disagreeing(pooled)
    if not expected:
        return math.nan
    observed = sum(_disagreeing(counts) / (counts.total() - 1) for counts in rated)
    return 1 - (pooled.total() - 1) * observed / expected


def _disagreeing(labels: Counter[Hashable]) -> int:
    """The number of ordered pairs of different labels."""
    return labels.total() ** 2 - sum(count * count for count in labels.values())
