"""Whether chances mean what they say: log loss, calibration curve and error, macro-F1."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

Chances = Float[np.ndarray, "case"]
Weights = Float[np.ndarray, "case"]
Marks = NDArray[np.bool_]
Classes = Int[np.ndarray, "case"]

#: No chance counts as nearer to 0 or 1 than this in a log loss, which is infinite there.
LEAST = 1e-6


class CalibrationBin(NamedTuple):
    """Cases with a chance of `low` up to `high`: mean chance, rate observed, weight, and how many.

    The last bin holds its upper end. `mean` and `rate` are nan where there is no case.
    """

    low: float
    high: float
    mean: float
    rate: float
    weight: float
    n: int


def log_loss(chances: Chances, observed: Marks, weights: Weights) -> float:
    """The weighted mean of -log of the chance of what was observed, nats; >= 0."""
    chance = np.clip(chances, LEAST, 1 - LEAST)
    losses = -np.log(np.where(observed, chance, 1 - chance))
    return float(np.average(losses, weights=weights))


def calibration(
    chances: Chances, observed: Marks, weights: Weights, edges: Sequence[float]
) -> list[CalibrationBin]:
    """Mean chance beside observed rate in each of the bins between `edges`, which rise from 0 to 1.

    Every sum is weighted.
    """
    place = np.clip(np.searchsorted(edges, chances, side="right") - 1, 0, len(edges) - 2)
    bins = []
    for i in range(len(edges) - 1):
        here = place == i
        mass = float(weights[here].sum())
        mean, rate = (
            float((weights * values)[here].sum()) / mass if mass else np.nan
            for values in (chances, observed)
        )
        bins.append(CalibrationBin(edges[i], edges[i + 1], mean, rate, mass, int(here.sum())))
    return bins


def calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """The expected calibration error, the weighted mean of |mean chance - rate|; nan of nothing."""
    held = [part for part in bins if part.weight]
    if not held:
        return float("nan")
    return float(np.average([abs(b.mean - b.rate) for b in held], weights=[b.weight for b in held]))


def macro_f1(called: Classes, observed: Classes, weights: Weights, classes: int) -> float:
    """The mean over all `classes` of the F1 of each, weighted cases; 0 for one never called right.

    A class that is neither called nor observed is left out.
    """
    scores = []
    for kind in range(classes):
        hit = float(weights[(called == kind) & (observed == kind)].sum())
        either = float(weights[called == kind].sum() + weights[observed == kind].sum())
        if either:
            scores.append(2 * hit / either)
    return float(np.mean(scores))
