"""How well a score or a call agrees with what was observed, with a weight for every case."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, rankdata

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Confusion(NamedTuple):
    """Weights of the four cases: called and observed, called only, neither, observed only."""

    tp: float
    fp: float
    tn: float
    fn: float

    @property
    def accuracy(self) -> float:
        """The share of right calls; nan of nothing."""
        return _share(self.tp + self.tn, sum(self))

    @property
    def balanced_accuracy(self) -> float:
        """The mean of the shares of right calls among the observed and among the others; nan where
        one of them is empty.
        """
        return (_share(self.tp, self.tp + self.fn) + _share(self.tn, self.tn + self.fp)) / 2

    @property
    def mcc(self) -> float:
        """The correlation of calls with observations (Matthews), in [-1, 1]; 0 where one of them
        does not vary.
        """
        rows = (self.tp + self.fp) * (self.tp + self.fn) * (self.tn + self.fp) * (self.tn + self.fn)
        return (self.tp * self.tn - self.fp * self.fn) / math.sqrt(rows) if rows else 0.0


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def confusion(
    called: ArrayLike, observed: ArrayLike, weights: ArrayLike | None = None
) -> Confusion:
    """The confusion of boolean calls with boolean observations."""
    yes, true = np.asarray(called, bool), np.asarray(observed, bool)
    size = np.ones(len(true)) if weights is None else np.asarray(weights, float)
    cases = (yes & true, yes & ~true, ~yes & ~true, ~yes & true)
    return Confusion(*(float(size[case].sum()) for case in cases))


def auroc(scores: ArrayLike, observed: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The chance that an observed case scores above another one, ties counting half; nan where one
    kind is missing.
    """
    score, true = np.asarray(scores, float), np.asarray(observed, bool)
    if weights is None:
        positive, negative = int(true.sum()), int((~true).sum())
        above = float(rankdata(score)[true].sum()) - positive * (positive + 1) / 2
        return _share(above, positive * negative)
    size = np.asarray(weights, float)
    wins = (score[true][:, None] > score[~true]) + 0.5 * (score[true][:, None] == score[~true])
    return _share(
        float(size[true] @ wins @ size[~true]), float(size[true].sum() * size[~true].sum())
    )


def brier(probabilities: ArrayLike, observed: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The mean squared distance of probabilities from what was observed, in [0, 1]; nan of
    nothing.
    """
    error = (np.asarray(probabilities, float) - np.asarray(observed, float)) ** 2
    size = None if weights is None else np.asarray(weights, float)
    return float(np.average(error, weights=size)) if len(error) else math.nan


def majority_calls(
    observed: ArrayLike, groups: Sequence[object], weights: ArrayLike | None = None
) -> Bools:
    """The call of a classifier that knows only what most cases of the same group show; a tie is
    called unobserved.
    """
    true = np.asarray(observed, bool)
    size = np.ones(len(true)) if weights is None else np.asarray(weights, float)
    out = np.zeros(len(true), bool)
    for group in set(groups):
        at = np.array([one == group for one in groups])
        out[at] = size[at & true].sum() > size[at & ~true].sum()
    return out


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> float:
    """The exact two-sided p of McNemar's test that two classifiers are equally often right; 1 where
    they never part.
    """
    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    only, parted = int((first & ~second).sum()), int((first != second).sum())
    return float(binomtest(only, parted).pvalue) if parted else 1.0
