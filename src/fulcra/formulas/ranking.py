"""How well an order finds the few: weighted average precision, what chance gives, intervals over
clusters, effect sizes.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from fulcra.errors import InputError
from fulcra.types import Interval

Scores = Float[np.ndarray, "branch"]
Marks = NDArray[np.bool_]


def average_precision(scores: Scores, found: Marks, weights: Scores) -> float:
    """The mean, over what is to be found, of the precision down to it, weighted; tied scores count
    as one step. nan where nothing is.

    `weights` are inverse inclusion probabilities (1 in a census): every sum is then that of the
    whole population.
    """
    order = np.argsort(-scores, kind="stable")
    hits, mass = np.cumsum(weights[order] * found[order]), np.cumsum(weights[order])
    if not len(hits) or hits[-1] == 0:
        return math.nan
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    gained = np.diff(hits[last], prepend=0.0)
    return float((gained * hits[last] / np.maximum(mass[last], 1e-300)).sum() / hits[-1])


def chance_precision(found: float, total: float) -> float:
    """The mean average precision of a random order of `total` with `found` among them: ((P - 1)(n -
    H_n)/(n - 1) + H_n) / n.
    """
    if total <= 1:
        return float(found > 0)
    harmonic = math.log(total) + 0.5772156649015329 + 1 / (2 * total) - 1 / (12 * total**2)
    return ((found - 1) * (total - harmonic) / (total - 1) + harmonic) / total


def corrected_precision(scores: Scores, found: Marks, weights: Scores) -> float:
    """(AP - chance) / (1 - chance): 0 is a random order, 1 a perfect one; nan where nothing, or
    everything, is to be found.
    """
    chance = chance_precision(float((weights * found).sum()), float(weights.sum()))
    return (
        (average_precision(scores, found, weights) - chance) / (1 - chance)
        if chance < 1
        else math.nan
    )


def at_top(scores: Scores, found: Marks, weights: Scores, k: int) -> tuple[float, float]:
    """Recall and precision of the first `k` of the population; an entry of weight w stands for w of
    it.
    """
    order = np.argsort(-scores, kind="stable")
    before = np.cumsum(weights[order]) - weights[order]
    share = np.clip((k - before) / weights[order], 0.0, 1.0)
    hits, total = (
        float((share * weights[order] * found[order]).sum()),
        float((weights * found).sum()),
    )
    return (hits / total if total else math.nan), hits / k


def ranking_auroc(scores: Scores, found: Marks, weights: Scores) -> float:
    """The chance that a random found branch stands above a random other, ties counting half; below
    .5 the order anti-predicts.
    """
    if not (weights[found].sum() and weights[~found].sum()):
        return math.nan
    values, at = np.unique(scores, return_inverse=True)
    others = np.bincount(at, weights=weights * ~found, minlength=len(values))
    below = np.cumsum(others) - others / 2
    return float((weights * found * below[at]).sum() / weights[found].sum() / others.sum())


Statistic = Callable[[Scores, Marks, Scores], float]


def ranking_interval(
    statistic: Statistic,
    scores: Scores,
    found: Marks,
    weights: Scores,
    clusters: Int[np.ndarray, "branch"],
    seed: int,
    resamples: int = 500,
) -> Interval:
    """A statistic with its 95 % percentile interval from resampling whole clusters (both poles of a
    neuron).

    Resamples without anything to find are left out; with fewer than two clusters to find the
    interval is infinite.
    """
    _, of = np.unique(clusters, return_inverse=True)
    count, rng = int(of.max()) + 1, np.random.default_rng(seed)
    value = statistic(scores, found, weights)
    if len(set(of[found].tolist())) < 2:
        return Interval(value, -math.inf, math.inf, len(scores))
    drawn = []
    for _ in range(resamples):
        again = weights * np.bincount(rng.integers(count, size=count), minlength=count)[of]
        kept = again > 0
        drawn.append(statistic(scores[kept], found[kept], again[kept]))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Interval(value, float(low), float(high), len(scores))


def matched_difference(
    values: Scores,
    chosen: Marks,
    strata: Int[np.ndarray, "branch"],
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """How far the chosen lie above others of their stratum: Cliff's delta in [-1, 1], the mean over
    the chosen, with its interval.

    For each chosen entry the share of the others of its stratum below it less the share above it;
    the interval resamples the chosen. n counts the chosen that have others. nan in [-1, 1] without
    any.
    """
    if not len(values) == len(chosen) == len(strata):
        raise InputError(
            f"matched_difference() got {len(values)} values, {len(chosen)} marks and {len(strata)}"
            " strata: give one each"
        )
    deltas = []
    for i in np.flatnonzero(chosen):
        others = values[(strata == strata[i]) & ~chosen]
        if len(others):
            deltas.append(float((others < values[i]).mean() - (others > values[i]).mean()))
    if not deltas:
        return Interval(math.nan, -1.0, 1.0, 0)
    drawn = np.random.default_rng(seed).choice(deltas, size=(resamples, len(deltas))).mean(1)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.mean(deltas)), float(low), float(high), len(deltas))
