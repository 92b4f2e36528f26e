"""Spearman's rho with its interval, a permutation test of a rise, and ranks within strata."""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

RESAMPLES = 4000
Floats = NDArray[np.float64]


class Spearman(NamedTuple):
    """rho, its percentile interval over pairs, the p of a permutation test of no rise, n pairs.

    All but n are None where one side does not vary.
    """

    rho: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int


def spearman(first: ArrayLike, second: ArrayLike, seed: int = 0, level: float = 0.95) -> Spearman:
    """How far the second rises with the first, [pair] each; infinite values rank last, alike.

    Resamples in which a side does not vary are left out of the interval.
    """
    x, y = np.asarray(first, float), np.asarray(second, float)
    rho = float(correlations(x, y)) if len(x) else math.nan
    if math.isnan(rho):
        return Spearman(None, None, None, None, len(x))
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(x), size=(RESAMPLES, len(x)))
    low, high = np.nanquantile(correlations(x[drawn], y[drawn]), [(1 - level) / 2, (1 + level) / 2])
    shuffled = correlations(x, rng.permuted(np.tile(y, (RESAMPLES, 1)), axis=1))
    # the observed order is one of the permutations, so p is never 0; rounding must not part equal
    # orders
    p_value = (1 + int((shuffled >= rho - 1e-9).sum())) / (1 + RESAMPLES)
    return Spearman(rho, float(low), float(high), p_value, len(x))


def correlations(first: Floats, second: Floats) -> Floats:
    """Pearson's correlation of average ranks along the last axis, [...]; nan where one is flat."""
    a, b = (rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2 for values in (first, second))
    size = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    rho: Floats = np.divide(
        (a * b).sum(-1), size, out=np.full(np.shape(size), math.nan), where=size > 0
    )
    return rho


def stratum_ranks(values: ArrayLike, strata: Sequence[Hashable]) -> Floats:
    """Average ranks within each stratum, less their mean and over its size: [value] in (-.5, .5).

    The cosine of two columns of them is Spearman's rho in a single stratum; over several, each
    counts by its size.
    """
    sample, ranks = np.asarray(values, float), np.zeros(len(strata))
    codes = {label: code for code, label in enumerate(dict.fromkeys(strata))}
    of = np.array([codes[label] for label in strata], int)
    for code in range(len(codes)):
        mine = of == code
        size = int(mine.sum())
        ranks[mine] = (rankdata(sample[mine]) - (size + 1) / 2) / size
    return ranks


def rank_cosines(first: Floats, second: Floats, weightings: ArrayLike) -> Floats:
    """The cosine of two columns of ranks under each of several weightings, [weighting].

    nan where one of them does not vary.
    """
    weights = np.asarray(weightings)
    size = np.sqrt((weights @ (first * first)) * (weights @ (second * second)))
    cosines: Floats = np.divide(
        weights @ (first * second), size, out=np.full(len(size), math.nan), where=size > 0
    )
    return cosines
