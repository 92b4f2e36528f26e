"""How well a score tells two classes apart, with bootstrap intervals over prompts of each class."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from fulcra.errors import InputError
from fulcra.types import Interval

Scores = Float[np.ndarray, "prompt"]
Labels = Bool[np.ndarray, "prompt"]
Floats = NDArray[np.float64]
RESAMPLES = 2000


class Detection(NamedTuple):
    """The figures of one detector on some prompts; n is the number of prompts they rest on.

    auroc and the two true-positive rates use no threshold: they are the best the scores allow
    there. The others are at one.
    """

    auroc: Interval
    accuracy: Interval
    f1: Interval
    precision: Interval
    recall: Interval
    tpr_at_1: Interval
    tpr_at_5: Interval


def best_threshold(scores: Scores, labels: Labels) -> float:
    """The threshold of the largest true- minus false-positive rate, the highest of equals.

    Positive is a score at or above it; halfway between two neighboring scores. InputError where one
    class is absent or all scores are equal.
    """
    positive, negative = _classes(scores, labels)
    values = np.unique(scores)
    if len(values) == 1:
        raise InputError(
            f"detector: the score is {values[0]:g} on all {len(scores)} prompts, so nothing can be"
            " told apart; choose another"
        )
    between = (values[1:] + values[:-1]) / 2
    gain = (positive[:, None] >= between).mean(0) - (negative[:, None] >= between).mean(0)
    return float(between[len(gain) - 1 - gain[::-1].argmax()])


def detection(
    scores: Scores, labels: Labels, threshold: float, seed: int = 0, level: float = 0.95
) -> Detection:
    """The detector's figures with percentile intervals; InputError where one class is absent.

    The prompts of either class are resampled apart.
    """
    positive, negative = _classes(scores, labels)
    rng = np.random.default_rng(seed)
    weights = [_weights(rng, len(side)) for side in (positive, negative)]
    columns = _figures(positive, negative, weights[0], weights[1], threshold)
    edges = ((1 - level) / 2, (1 + level) / 2)
    return Detection(*(_interval(column, edges, len(scores)) for column in columns))


def _weights(rng: np.random.Generator, n: int) -> Floats:
    """Equal weights, then how often each prompt is drawn, [1 + resample, prompt]; rows sum to 1."""
    even = np.full(n, 1 / n)
    return np.vstack([even, rng.multinomial(n, even, RESAMPLES) / n])


def _classes(scores: Scores, labels: Labels) -> tuple[Floats, Floats]:
    if not np.isfinite(scores).all():
        raise InputError(
            f"detector: {int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite;"
            " choose another"
        )
    positive, negative = scores[labels].astype(float), scores[~labels].astype(float)
    if not len(positive) or not len(negative):
        raise InputError(
            f"detector: {len(positive)} positive and {len(negative)} negative prompts; give prompts"
            " of both classes"
        )
    return positive, negative


def _figures(
    positive: Floats, negative: Floats, w: Floats, u: Floats, threshold: float
) -> list[Floats]:
    """The columns of a Detection, [resample]; w and u [resample, prompt] weigh either class."""
    n, m = len(positive), len(negative)
    ahead = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    recall, false = w @ (positive >= threshold), u @ (negative >= threshold)
    # above each negative's score lies one point of the curve; above all of them the rate of false
    # positives is 0
    cuts = np.unique(negative)
    hits, alarms = w @ (positive[:, None] > cuts), u @ (negative[:, None] > cuts)
    with np.errstate(invalid="ignore"):
        precision = n * recall / (n * recall + m * false)
    f1 = 2 * n * recall / (n * recall + m * false + n)
    within = [np.where(alarms <= rate + 1e-12, hits, 0.0).max(-1) for rate in (0.01, 0.05)]
    return [
        ((w @ ahead) * u).sum(-1),
        (n * recall + m * (1 - false)) / (n + m),
        f1,
        precision,
        recall,
        *within,
    ]


def _interval(column: Floats, edges: tuple[float, float], n: int) -> Interval:
    """The sample's value with quantiles of the resamples in which the figure is defined."""
    drawn = column[1:][~np.isnan(column[1:])]
    low, high = np.quantile(drawn, edges) if len(drawn) else (np.nan, np.nan)
    return Interval(float(column[0]), float(low), float(high), n)
