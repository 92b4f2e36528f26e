"""Where the spread of a quantity sits: within layers, between layers, between models; and which of
two factors explains it.
"""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Spreads(NamedTuple):
    """Standard deviations: around the layer's mean, around the model's mean, and of the models'
    means.
    """

    within_layer: float
    within_model: float
    between_models: float


class Shares(NamedTuple):
    """The share of all variance that each factor explains beyond the other (type II sums of
    squares), and the rest.
    """

    first: float
    second: float
    residual: float
    n: int


def _codes(labels: Sequence[Hashable]) -> NDArray[np.int64]:
    known = {label: code for code, label in enumerate(dict.fromkeys(labels))}
    return np.array([known[label] for label in labels], dtype=np.int64)


def _around(values: NDArray[np.float64], labels: Sequence[Hashable]) -> float:
    """The standard deviation around the group means, one degree of freedom lost a group; nan where
    none is left.
    """
    codes = _codes(labels)
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    free = len(values) - len(means)
    return math.sqrt(float(((values - means[codes]) ** 2).sum()) / free) if free else math.nan


def spreads(values: ArrayLike, models: Sequence[Hashable], layers: Sequence[Hashable]) -> Spreads:
    """The spreads of values known by model and layer; between models nan with a single one."""
    sample = np.asarray(values, float)
    codes = _codes(models)
    means = np.bincount(codes, weights=sample) / np.bincount(codes)
    between = float(means.std(ddof=1)) if len(means) > 1 else math.nan
    return Spreads(
        _around(sample, list(zip(models, layers, strict=True))), _around(sample, models), between
    )


def variance_shares(
    values: ArrayLike, first: Sequence[Hashable], second: Sequence[Hashable]
) -> Shares:
    """How much of the variance of `values` two crossed factors explain, each beyond the other; nan
    where nothing varies.
    """
    sample = np.asarray(values, float)
    total = float(((sample - sample.mean()) ** 2).sum()) if len(sample) else 0.0
    if not total:
        return Shares(math.nan, math.nan, math.nan, len(sample))
    one, two = (np.eye(codes.max() + 1)[codes] for codes in (_codes(first), _codes(second)))
    left = _residual(sample, np.hstack([one, two]))
    return Shares(
        (_residual(sample, two) - left) / total,
        (_residual(sample, one) - left) / total,
        left / total,
        len(sample),
    )


def _residual(values: NDArray[np.float64], design: NDArray[np.float64]) -> float:
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return float(((values - fitted) ** 2).sum())
