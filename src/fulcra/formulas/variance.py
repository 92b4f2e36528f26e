"""Where the spread of a quantity sits: within layers, between layers, between models."""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Spreads(NamedTuple):
    """Standard deviations: around the layer's mean, around the model's, and of models' means."""

    within_layer: float
    within_model: float
    between_models: float


class Shares(NamedTuple):
    """Shares of all variance that each factor explains beyond the other, and the rest.

    By type II sums of squares.
    """

    first: float
    second: float
    residual: float
    n: int


def _codes(labels: Sequence[Hashable]) -> NDArray[np.int64]:
    codes = {label: code for code, label in enumerate(dict.fromkeys(labels))}
    return np.array([codes[label] for label in labels], dtype=np.int64)


def _group_means(values: Floats, codes: NDArray[np.int64]) -> Floats:
    means: Floats = np.bincount(codes, weights=values) / np.bincount(codes)
    return means


def centred_by(values: Floats, labels: Sequence[Hashable]) -> Floats:
    """The values less the mean of all values with the same label."""
    codes = _codes(labels)
    return values - _group_means(values, codes)[codes] if len(values) else values


def _spread(values: Floats, labels: Sequence[Hashable]) -> float:
    """The standard deviation around the group means, a degree of freedom lost a group, or nan."""
    free = len(values) - len(set(labels))
    return math.sqrt(float((centred_by(values, labels) ** 2).sum()) / free) if free else math.nan


def spreads(values: ArrayLike, models: Sequence[Hashable], layers: Sequence[Hashable]) -> Spreads:
    """The spreads of values by model and layer; between models nan with a single one."""
    sample = np.asarray(values, float)
    means = _group_means(sample, _codes(models))
    between = float(means.std(ddof=1)) if len(means) > 1 else math.nan
    places = list(zip(models, layers, strict=True))
    return Spreads(_spread(sample, places), _spread(sample, models), between)


def variance_shares(
    values: ArrayLike, first: Sequence[Hashable], second: Sequence[Hashable]
) -> Shares:
    """How much of the variance two crossed factors explain; nan where nothing varies."""
    sample = np.asarray(values, float)
    total = float(((sample - sample.mean()) ** 2).sum()) if len(sample) else 0.0
    if not total:
        return Shares(math.nan, math.nan, math.nan, len(sample))
    left, right = (np.eye(codes.max() + 1)[codes] for codes in (_codes(first), _codes(second)))
    rest = _residual(sample, np.hstack([left, right]))
    by_first, by_second = (_residual(sample, other) - rest for other in (right, left))
    return Shares(by_first / total, by_second / total, rest / total, len(sample))


def _residual(values: Floats, design: Floats) -> float:
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return float(((values - fitted) ** 2).sum())
