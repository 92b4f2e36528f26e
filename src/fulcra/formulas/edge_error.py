"""How far predicted edges lie from measured ones, in alignment and octaves (law.md 4 and 5)."""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fulcra.formulas.variance import centred_by

Floats = NDArray[np.float64]


class EdgeError(NamedTuple):
    """Errors over the `n` branches of which both edges lie on the ladder.

    The others are `censored` and scored as inequalities. mae, mae_bulk [alignment g / sqrt(1 +
    g^2)]: all layers, and all but the first and the last; mae_log2, bias_log2 [octaves of gain],
    positive where the prediction is late; correlations of log gain, over all and around each
    layer's own mean; inequality: the share of the censored ones of which the prediction says
    "beyond the ladder" exactly when the measurement does.
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
    """The errors of predicted gains, nan beyond the ladder, whose last rung of a branch is `last`.

    `layers` holds one label a layer of a model. A predicted gain at or beyond the last rung says
    "beyond the ladder".
    """
    first, second, end = (np.asarray(gains, float) for gains in (predicted, measured, last))
    both = np.isfinite(first) & np.isfinite(second)
    errors, octaves = alignment_errors(first, second), np.log2(first) - np.log2(second)
    beyond, unreached = ~np.isfinite(first) | (first >= end), ~np.isfinite(second)
    logs = np.log(first[both]), np.log(second[both])
    labels = [label for label, scored in zip(layers, both, strict=True) if scored]
    return EdgeError(
        mae=_mean(errors[both]),
        mae_bulk=_mean(errors[both & np.asarray(bulk, bool)]),
        mae_log2=_mean(np.abs(octaves[both])),
        bias_log2=_mean(octaves[both]),
        correlation=_correlation(*logs),
        within_layer_correlation=_correlation(*(centred_by(row, labels) for row in logs)),
        n=int(both.sum()),
        censored=int((~both).sum()),
        inequality=_mean((beyond == unreached)[~both]),
    )


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean()) if len(values) else math.nan


def _correlation(first: Floats, second: Floats) -> float:
    """Pearson's r of two columns; nan where one of them does not vary."""
    varies = len(first) > 2 and min(first.std(), second.std()) > 1e-12
    return float(np.corrcoef(first, second)[0, 1]) if varies else math.nan
