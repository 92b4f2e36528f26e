"""How far predicted edges lie from measured ones, in alignment and in octaves of gain (law.md
sections 4 and 5).
"""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class EdgeError(NamedTuple):
    """Errors over the `n` branches of which both edges lie on the ladder; the others are `censored`
    and scored as inequalities.

    mae, mae_bulk [alignment g / sqrt(1 + g^2)]: all layers, and all but the first and the last;
    mae_log2, bias_log2 [octaves of gain], positive where the prediction is late; correlations of
    log gain, over all and around each layer's own mean; inequality: the share of the censored ones
    of which the prediction says "beyond the ladder" exactly when the measurement does.
    """

    mae: float
    mae_bulk: float
    mae_log2: float
    bias_log2: float
    correlation: float
    within_layer_correlation: float
    n: int
    censored: int
    inequality: float


def alignment_errors(predicted: ArrayLike, measured: ArrayLike) -> Floats:
    """|c(predicted) - c(measured)| with c = g / sqrt(1 + g^2), nan where one is censored (nan)."""
    first, second = (np.asarray(gains, float) for gains in (predicted, measured))
    errors: Floats = np.abs(first / np.sqrt(1 + first**2) - second / np.sqrt(1 + second**2))
    return errors


def edge_error(
    predicted: ArrayLike,
    measured: ArrayLike,
    last: ArrayLike,
    layers: Sequence[Hashable],
    bulk: ArrayLike,
) -> EdgeError:
    """The errors of predicted gains; nan is an edge beyond the ladder, whose last rung of each
    branch is `last`.

    `layers` holds one label a layer of a model. A predicted gain at or beyond the last rung says
    "beyond the ladder".
    """
    first, second, end = (np.asarray(gains, float) for gains in (predicted, measured, last))
    both = np.isfinite(first) & np.isfinite(second)
    errors, octaves = alignment_errors(first, second), np.log2(first) - np.log2(second)
    beyond, unreached = ~np.isfinite(first) | (first >= end), ~np.isfinite(second)
    logs = np.stack([np.log(first[both]), np.log(second[both])])
    return EdgeError(
        mae=_mean(errors[both]),
        mae_bulk=_mean(errors[both & np.asarray(bulk, bool)]),
        mae_log2=_mean(np.abs(octaves[both])),
        bias_log2=_mean(octaves[both]),
        correlation=_correlation(logs),
        within_layer_correlation=_correlation(
            _around(logs, [label for label, kept in zip(layers, both, strict=True) if kept])
        ),
        n=int(both.sum()),
        censored=int((~both).sum()),
        inequality=_mean((beyond == unreached)[~both]),
    )


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean()) if len(values) else math.nan


def _correlation(pair: Floats) -> float:
    """Pearson's r of two rows; nan where one of them does not vary."""
    varies = pair.shape[1] > 2 and bool((pair.std(1) > 1e-12).all())
    return float(np.asarray(np.corrcoef(pair))[0, 1]) if varies else math.nan


def _around(pair: NDArray[np.float64], labels: Sequence[Hashable]) -> NDArray[np.float64]:
    """The rows less their mean over the columns of the same label."""
    known = {label: code for code, label in enumerate(dict.fromkeys(labels))}
    codes = np.array([known[label] for label in labels], dtype=np.int64)
    if not len(codes):
        return pair
    means = [np.bincount(codes, weights=row) / np.bincount(codes) for row in pair]
    return np.stack([row - mean[codes] for row, mean in zip(pair, means, strict=True)])
