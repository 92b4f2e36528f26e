"""Rates with their uncertainty, and edges of a window on a ladder (law.md sections 3-5)."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

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
    low = center - half if successes else 0.0
    high = center + half if successes < n else 1.0
    return Interval(rate, low, high, n)


def newcombe(before: Interval, after: Interval) -> Interval:
    """How much higher a rate is after than before, with its interval.

    From the Wilson intervals of both (Newcombe 1998, method 10); of independent samples, and too
    wide for the same prompts. n is the smaller of both numbers.
    """
    change = after.value - before.value
    down = math.hypot(after.value - after.low, before.high - before.value)
    up = math.hypot(after.high - after.value, before.value - before.low)
    return Interval(change, change - down, change + up, min(before.n, after.n))


def rule_of_three(n: int) -> float:
    """The 95 % upper bound 3 / n (at most 1) on a rate of which n trials showed no success."""
    return min(1.0, 3 / n) if n else 1.0


def log2_margin(ceiling_gain: float | None, trigger_gain: float | None) -> float | None:
    """log2(ceiling gain / trigger gain), positive where the law says open; None without both."""
    if ceiling_gain is None or trigger_gain is None:
        return None
    if not (ceiling_gain > 0 and trigger_gain > 0):
        raise InputError(
            f"log2_margin() got ceiling {ceiling_gain:g} and trigger {trigger_gain:g}: gains of a"
            " branch are positive"
        )
    return math.log2(ceiling_gain / trigger_gain)


def crossing(gains: Sequence[float], values: Sequence[float], level: float) -> float | None:
    """The gain at which `values` first reach `level` from below; None when no rung reaches it.

    Gains increase. Linear in log gain between the two rungs. The first rung itself when it is
    already there (the edge is then censored below), and the reaching rung when a value beside it is
    not finite. nan reaches nothing.
    """
    increasing = all(low < high for low, high in pairwise([0.0, *gains]))
    if len(gains) != len(values) or not increasing:
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
