"""Intervals and p-values where cases come in clusters within clusters: lineages, then neurons, both
poles together.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fulcra.errors import InputError

RESAMPLES = 2000


class Spread(NamedTuple):
    """A percentile interval of a mean, and the one-sided p that the mean is at most zero."""

    low: float
    high: float
    p_value: float


def resampled_means(
    values: ArrayLike,
    outer: Sequence[Hashable],
    inner: Sequence[Hashable],
    seed: int,
    weights: ArrayLike | None = None,
    resamples: int = RESAMPLES,
) -> NDArray[np.float64]:
    """The weighted mean of `values` in each of `resamples`: outer clusters drawn with replacement,
    then inner ones in each.

    An inner cluster is known by its label within its outer one. With a single outer cluster only
    the inner ones are drawn.
    """
    sample = np.asarray(values, float)
    size = np.ones(len(sample)) if weights is None else np.asarray(weights, float)
    if not len(sample) == len(outer) == len(inner) == len(size) or not len(sample):
        found = f"{len(sample)} values, {len(outer)} outer and {len(inner)} inner labels"
        raise InputError(f"resampled_means() got {found}: give every value one label of each kind")
    totals: dict[Hashable, dict[Hashable, NDArray[np.float64]]] = {}
    for value, weight, group, cluster in zip(sample, size, outer, inner, strict=True):
        held = totals.setdefault(group, {}).setdefault(cluster, np.zeros(2))
        held += (value * weight, weight)
    sums = [np.stack(list(clusters.values())) for clusters in totals.values()]
    rng = np.random.default_rng(seed)
    out = np.zeros((resamples, 2))
    for row in out:
        for group in rng.integers(len(sums), size=len(sums)):
            row += (
                rng.multinomial(len(sums[group]), np.full(len(sums[group]), 1 / len(sums[group])))
                @ sums[group]
            )
    means: NDArray[np.float64] = out[:, 0] / out[:, 1]
    return means


def spread(means: NDArray[np.float64], level: float = 0.95) -> Spread:
    """The percentile interval of resampled means and the p that the mean is not above zero, (1 +
    count) / (1 + resamples).
    """
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Spread(float(low), float(high), float((1 + (means <= 0).sum()) / (1 + len(means))))
