"""Rates with their uncertainty, and edges of a window on a ladder of gains (law.md sections 3 to
5).
"""

import math
from collections.abc import Hashable, Sequence
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from fulcra.errors import InputError
from fulcra.types import Interval


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """The rate successes / n with its Wilson score interval; of nothing (n = 0) nan in [0, 1]."""
    if not 0 <= successes <= n:
        raise InputError(f"wilson() got {successes} successes of {n}: expected 0 <= successes <= n")
    if not n:
        return Interval(math.nan, 0.0, 1.0, 0)
    rate, z2 = successes / n, NormalDist().inv_cdf((1 + level) / 2) ** 2
    center = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * rate * (1 - rate) / n + (z2 / (2 * n)) ** 2) / (1 + z2 / n)
    # the edges are exact at no and at all successes; rounding must not put the rate outside
    return Interval(
        rate, center - half if successes else 0.0, center + half if successes < n else 1.0, n
    )


def rule_of_three(n: int) -> float:
    """The 95 % upper bound 3 / n (at most 1) on a rate of which n trials showed no success."""
    return min(1.0, 3 / n) if n else 1.0


def cluster_bootstrap(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    seed: int,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """The mean of `values` with a percentile interval from resampling whole clusters (both poles of
    a neuron, a lineage).
    """
    names = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    if len(values) != len(clusters) or len(names) < 2:
        found = (
            f"{len(values)} values with {len(clusters)} cluster labels, {len(names)} of them"
            " different"
        )
        raise InputError(
            f"cluster_bootstrap() got {found}: give one label a value and at least two clusters"
        )
    of = np.array([names[name] for name in clusters])
    sums, counts = np.bincount(of, weights=values), np.bincount(of)
    drawn = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    low, high = np.quantile(
        sums[drawn].sum(1) / counts[drawn].sum(1), [(1 - level) / 2, (1 + level) / 2]
    )
    return Interval(float(np.mean(values)), float(low), float(high), len(values))


def log2_margin(ceiling_gain: float | None, trigger_gain: float | None) -> float | None:
    """The margin log2(ceiling gain / trigger gain), positive when the law says open; None when an
    edge is censored.
    """
    if ceiling_gain is None or trigger_gain is None:
        return None
    if not (ceiling_gain > 0 and trigger_gain > 0):
        raise InputError(
            f"log2_margin() got ceiling {ceiling_gain:g} and trigger {trigger_gain:g}: gains of a"
            " branch are positive"
        )
    return math.log2(ceiling_gain / trigger_gain)


def crossing(gains: Sequence[float], values: Sequence[float], level: float) -> float | None:
    """The gain at which `values` first reach `level` from below on an increasing ladder; None when
    no rung reaches it.

    Linear in log gain between the two rungs. The first rung itself when it is already there (the
    edge is then censored below), and the reaching rung when a value beside it is not finite. nan
    reaches nothing.
    """
    if (
        len(gains) != len(values)
        or not all(0 < low < high for low, high in pairwise(gains))
        or any(gain <= 0 for gain in gains)
    ):
        raise InputError(
            f"crossing() got gains {list(gains)} and {len(values)} values: expected as many, gains"
            " positive and increasing"
        )
    reached = next((rung for rung, value in enumerate(values) if value >= level), None)
    if reached is None:
        return None
    above, below = values[reached], values[max(reached - 1, 0)]
    if reached == 0 or not math.isfinite(above - below):
        return gains[reached]
    share = (level - below) / (above - below)
    return math.exp(math.log(gains[reached - 1]) * (1 - share) + math.log(gains[reached]) * share)
