"""Thresholds with a bound on false alarms that holds for any finite number of clean scores."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from fulcra.errors import InputError

#: Rounding of (n + 1)(1 - rate) must not raise it above the whole number it stands for.
ROUNDING = 1e-9


class Threshold(NamedTuple):
    """The score above which an alarm is raised, and the bound on false alarms it comes with.

    `bound` = (n + 1 - k) / (n + 1) for the k-th smallest of n clean scores.
    """

    value: float
    bound: float
    n: int


def scores_needed(rate: float) -> int:
    """The fewest clean scores that a false-alarm rate of `rate` can be held with."""
    if not 0 < rate < 1:
        raise InputError(
            f"false-alarm rate {rate:g}: expected a number between 0 and 1, as in 0.01"
        )
    return math.ceil(1 / rate - 1 - ROUNDING)


def conformal_threshold(scores: Sequence[float], rate: float) -> Threshold:
    """The k-th smallest clean score, k = ceil((n + 1)(1 - rate)).

    A new score that is exchangeable with them lies above it with a chance of at most `bound` <=
    `rate` (split conformal prediction: Vovk, Gammerman and Shafer 2005). InputError where there
    are too few scores for the rate.
    """
    n, needed = len(scores), scores_needed(rate)
    if n < needed:
        raise InputError(
            f"false-alarm rate {rate:g}: {n} clean windows, and it takes {needed}; give more text"
            " or ask for a higher rate"
        )
    if broken := sum(not math.isfinite(score) for score in scores):
        raise InputError(
            f"false-alarm rate {rate:g}: {broken} of {n} clean scores are not finite; load the"
            " model in float32"
        )
    rank = math.ceil((n + 1) * (1 - rate) - ROUNDING)
    return Threshold(sorted(scores)[rank - 1], (n + 1 - rank) / (n + 1), n)


def chance_of(alarms: int, windows: int, bound: float, n: int) -> float:
    """The chance of `alarms` or more in new windows above one conformal threshold.

    `bound` and `n` are those of the threshold. How often one calibration alarms is itself drawn,
    Beta(n + 1 - k, k) with `bound` as its mean (Vovk 2012, Conditional validity of inductive
    conformal predictors), so the count is beta-binomial. All scores are taken to be drawn
    independently from one law; ties make alarms rarer.
    """
    above = round(bound * (n + 1))
    below = n + 1 - above
    start = _log_beta(above, below)
    logs = (
        _log_choose(windows, i) + _log_beta(above + i, below + windows - i) - start
        for i in range(alarms, windows + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_beta(a: int, b: int) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
