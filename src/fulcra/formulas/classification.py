"""How well a score or a call agrees with what was observed, with a weight for every case."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# scikit-learn and scipy.stats take a second to import: each is imported by the function that needs
# it, so that a run without a back-test does without.

Bools = NDArray[np.bool_]


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
        """The mean of the shares right of the observed and of the others; nan if one is empty."""
        return (_share(self.tp, self.tp + self.fn) + _share(self.tn, self.tn + self.fp)) / 2

    @property
    def mcc(self) -> float:
        """Matthews' correlation of calls and observations, in [-1, 1]; 0 if one does not vary."""
        from sklearn.metrics import matthews_corrcoef

        called, observed = (True, True, False, False), (True, False, False, True)
        return float(matthews_corrcoef(observed, called, sample_weight=self)) if sum(self) else 0.0


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def confusion(
    called: ArrayLike, observed: ArrayLike, weights: ArrayLike | None = None
) -> Confusion:
    """The confusion of boolean calls with boolean observations."""
    yes, true = np.asarray(called, bool), np.asarray(observed, bool)
    size = _weights(weights, len(true))
    cases = (yes & true, yes & ~true, ~yes & ~true, ~yes & true)
    return Confusion(*(float(size[case].sum()) for case in cases))


def auroc(scores: ArrayLike, observed: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The chance that an observed case scores above another; nan where one kind is missing.

    Ties count half. scikit-learn's takes ten times as long, and a bootstrap calls this 500 times.
    """
    true = np.asarray(observed, bool)
    size = _weights(weights, len(true))
    values, place = np.unique(np.asarray(scores, float), return_inverse=True)
    others = np.bincount(place, weights=size * ~true, minlength=len(values))
    below = np.cumsum(others) - others / 2
    wins = float((size * true * below[place]).sum())
    return _share(wins, float(size[true].sum() * others.sum()))


def brier(probabilities: ArrayLike, observed: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The mean squared distance of probabilities from observations, in [0, 1]; nan of nothing."""
    from sklearn.metrics import brier_score_loss

    true = np.asarray(observed, bool)
    if not len(true):
        return math.nan
    return float(brier_score_loss(true, probabilities, sample_weight=weights, pos_label=True))


def majority_calls(
    observed: ArrayLike, groups: Sequence[object], weights: ArrayLike | None = None
) -> Bools:
    """What most cases of the same group show, called for each of them; a tie is unobserved."""
    true = np.asarray(observed, bool)
    size = _weights(weights, len(true))
    calls = np.zeros(len(true), bool)
    for group in set(groups):
        members = np.array([label == group for label in groups])
        calls[members] = size[members & true].sum() > size[members & ~true].sum()
    return calls


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> float:
    """The exact two-sided p that two classifiers are equally often right; 1 if they never part."""
    from scipy.stats import binomtest

    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    only, parted = int((first & ~second).sum()), int((first != second).sum())
    return float(binomtest(only, parted).pvalue) if parted else 1.0


def _weights(weights: ArrayLike | None, n: int) -> NDArray[np.float64]:
    return np.ones(n) if weights is None else np.asarray(weights, float)
