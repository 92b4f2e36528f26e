"""How well an order finds the few: average precision against chance, intervals, effect sizes."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, Real
from numpy.typing import NDArray
from scipy.special import digamma

from fulcra.errors import InputError
from fulcra.types import Interval

Scores = Float[np.ndarray, "branch"]
Marks = NDArray[np.bool_]
Clusters = Int[np.ndarray, "branch"]
Weightings = Real[np.ndarray, "weighting branch"]
Values = Float[np.ndarray, "weighting"]
Statistic = Callable[[Scores, Marks, Scores], float]

#: Resamples of an interval; each ranks all branches anew.
RESAMPLES = 500
#: Weightings that are ranked at once.
CHUNK = 250


def average_precision(scores: Scores, marks: Marks, weights: Scores) -> float:
    """The weighted mean, over the marked branches, of the precision down to each; nan of none.

    Tied scores count as one step. `weights` are inverse inclusion probabilities (1 in a census):
    every sum is then that of the whole population. scikit-learn's takes nine times as long, and an
    interval calls this 500 times.
    """
    return float(average_precisions(scores, marks, weights[None])[0])


def average_precisions(scores: Scores, marks: Marks, weights: Weightings) -> Values:
    """`average_precision` under each of several weightings, [weighting]; nan where none is marked.

    The order is made once, so that thousands of resamples take seconds.
    """
    if not len(scores):
        return np.full(len(weights), math.nan)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(_steps(scores[order]), True))
    values = np.empty(len(weights))
    for start in range(0, len(weights), CHUNK):
        size = weights[start : start + CHUNK, order].astype(float)
        hits = np.cumsum(size * marks[order], 1)[:, last]
        gained = np.diff(hits, prepend=0.0, axis=1)
        share = hits / np.maximum(np.cumsum(size, 1)[:, last], 1e-300)
        with np.errstate(invalid="ignore"):
            values[start : start + CHUNK] = (gained * share).sum(1) / hits[:, -1]
    return values


def aurocs(scores: Scores, marks: Marks, weights: Weightings) -> Values:
    """The AUROC under each of several weightings, [weighting]; nan where one kind has no weight.

    Ties count half.
    """
    order = np.argsort(scores, kind="stable")
    first = np.flatnonzero(np.append(True, _steps(scores[order])))
    values = np.empty(len(weights))
    for start in range(0, len(weights), CHUNK):
        size = weights[start : start + CHUNK, order].astype(float)
        won = np.add.reduceat(size * marks[order], first, axis=1)
        lost = np.add.reduceat(size * ~marks[order], first, axis=1)
        below = np.cumsum(lost, 1) - lost / 2
        with np.errstate(invalid="ignore"):
            share = (won * below).sum(1) / (won.sum(1) * lost.sum(1))
        values[start : start + CHUNK] = share
    return values


def _steps(ordered: Scores) -> Marks:
    """Whether each score but the first differs from the score before it; infinite ones may tie."""
    return np.asarray(ordered[1:] != ordered[:-1])


def chance_precision(marked: float, total: float) -> float:
    """The mean average precision of a random order of `total` branches, `marked` of them marked.

    ((P - 1)(n - H_n) / (n - 1) + H_n) / n, with H_n the harmonic number.
    """
    if total <= 1:
        return float(marked > 0)
    harmonic = float(digamma(total + 1)) + np.euler_gamma
    return ((marked - 1) * (total - harmonic) / (total - 1) + harmonic) / total


def corrected_precision(scores: Scores, marks: Marks, weights: Scores) -> float:
    """(AP - chance) / (1 - chance): 0 is a random order, 1 a perfect one; nan of none or all."""
    chance = chance_precision(float((weights * marks).sum()), float(weights.sum()))
    if chance >= 1:
        return math.nan
    return (average_precision(scores, marks, weights) - chance) / (1 - chance)


def at_top(scores: Scores, marks: Marks, weights: Scores, k: int) -> tuple[float, float]:
    """Recall and precision of the first `k` of the population; a branch stands for its weight."""
    order = np.argsort(-scores, kind="stable")
    before = np.cumsum(weights[order]) - weights[order]
    share = np.clip((k - before) / weights[order], 0.0, 1.0)
    hits = float((share * weights[order] * marks[order]).sum())
    total = float((weights * marks).sum())
    return (hits / total if total else math.nan), hits / k


def ranking_interval(
    statistic: Statistic,
    scores: Scores,
    marks: Marks,
    weights: Scores,
    clusters: Clusters,
    seed: int,
) -> Interval:
    """A statistic with its 95 % percentile interval from resampling whole clusters.

    A cluster is a neuron with both its poles. Resamples without a marked branch are left out; with
    fewer than two marked clusters the interval is infinite.
    """
    _, of = np.unique(clusters, return_inverse=True)
    count, rng = int(of.max()) + 1, np.random.default_rng(seed)
    value = statistic(scores, marks, weights)
    if len(set(of[marks].tolist())) < 2:
        return Interval(value, -math.inf, math.inf, len(scores))
    values = []
    for _ in range(RESAMPLES):
        again = weights * np.bincount(rng.integers(count, size=count), minlength=count)[of]
        drawn = again > 0
        values.append(statistic(scores[drawn], marks[drawn], again[drawn]))
    low, high = np.nanquantile(values, [0.025, 0.975])
    return Interval(value, float(low), float(high), len(scores))


def matched_difference(
    values: Scores,
    chosen: Marks,
    strata: Clusters,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Cliff's delta of the chosen against others of their stratum, in [-1, 1], with its interval.

    For each chosen branch the share of the others of its stratum below it less the share above it;
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
