"""Intervals and p-values where cases come in clusters (both poles of a neuron, then lineages)."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fulcra.errors import InputError
from fulcra.types import Interval

Floats = NDArray[np.float64]
RESAMPLES = 2000


class Spread(NamedTuple):
    """A percentile interval of a mean, and the one-sided p that the mean is at most zero."""

    low: float
    high: float
    p_value: float


def cluster_bootstrap(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    seed: int,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """The mean of `values` with a percentile interval from resampling whole clusters."""
    codes = {label: code for code, label in enumerate(dict.fromkeys(clusters))}
    if len(values) != len(clusters) or len(codes) < 2:
        raise InputError(
            f"cluster_bootstrap() got {len(values)} values with {len(clusters)} cluster labels,"
            f" {len(codes)} of them different: give one label a value and at least two clusters"
        )
    of = np.array([codes[label] for label in clusters])
    sums, counts = np.bincount(of, weights=values), np.bincount(of)
    drawn = np.random.default_rng(seed).integers(len(codes), size=(resamples, len(codes)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.mean(values)), float(low), float(high), len(values))


def resampled_means(
    values: ArrayLike,
    outer: Sequence[Hashable],
    inner: Sequence[Hashable],
    seed: int,
    weights: ArrayLike | None = None,
    resamples: int = RESAMPLES,
) -> Floats:
    """The weighted mean of `values` in each resample of outer clusters, then of inner ones in each.

    [resample]. An inner cluster is named by its label within its outer one. With a single outer
    cluster only the inner ones are drawn.
    """
    sample = np.asarray(values, float)
    size = np.ones(len(sample)) if weights is None else np.asarray(weights, float)
    if not len(sample) == len(outer) == len(inner) == len(size) or not len(sample):
        raise InputError(
            f"resampled_means() got {len(sample)} values, {len(outer)} outer and {len(inner)} inner"
            " labels: give every value one label of each kind"
        )
    draws = nested_draws(outer, inner, seed, resamples)
    means: Floats = (draws @ (sample * size)) / (draws @ size)
    return means


def cluster_draws(
    clusters: Sequence[Hashable], seed: int, resamples: int = RESAMPLES
) -> NDArray[np.int64]:
    """How often each value counts in each resample of whole clusters, [resample, value].

    For many figures on the same resamples: a figure's mean is draws @ values / draws.sum(1).
    """
    codes = {label: code for code, label in enumerate(dict.fromkeys(clusters))}
    n = len(codes)
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    draws: NDArray[np.int64] = counts[:, [codes[label] for label in clusters]]
    return draws


def nested_draws(
    outer: Sequence[Hashable],
    inner: Sequence[Hashable],
    seed: int,
    resamples: int = RESAMPLES,
) -> NDArray[np.int64]:
    """How often each value counts in each resample of outer clusters, then of inner ones in each.

    [resample, value]; an inner cluster is named by its label within its outer one. For figures that
    are no means: each row is a set of weights.
    """
    groups: dict[Hashable, dict[Hashable, list[int]]] = {}
    for place, (group, cluster) in enumerate(zip(outer, inner, strict=True)):
        groups.setdefault(group, {}).setdefault(cluster, []).append(place)
    members = [np.concatenate([*map(np.array, parts.values())]) for parts in groups.values()]
    sizes = [np.array([len(part) for part in parts.values()]) for parts in groups.values()]
    rng, draws = np.random.default_rng(seed), np.zeros((resamples, len(outer)), np.int64)
    for draw in draws:
        for group in rng.integers(len(members), size=len(members)):
            n = len(sizes[group])
            draw[members[group]] += np.repeat(rng.multinomial(n, np.full(n, 1 / n)), sizes[group])
    return draws


def spread(means: Floats, level: float = 0.95) -> Spread:
    """The percentile interval of resampled means, and the p that the mean is not above zero.

    p = (1 + count of means at most zero) / (1 + resamples).
    """
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Spread(float(low), float(high), float((1 + (means <= 0).sum()) / (1 + len(means))))
