"""Measured edges against each other: two runs, two halves of the prompts, two detectors.

Censored edges are counted apart.
"""

import math
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import crossing
from fulcra.formulas.repeatability import repeatability
from fulcra.formulas.resampling import cluster_bootstrap
from fulcra.formulas.saturation import alignment_of_gain
from fulcra.law.edges import HALF
from fulcra.protocol.results.coherence import EdgeDifference, EdgeNoise, MeanInterval, Noise
from fulcra.protocol.results.validation import CeilingRow, NoiseFloor, RepeatFloor
from fulcra.types import Edge, Neuron

#: The noise of an edge on half of the prompts over that on all of them.
OF_HALVES = math.sqrt(2)
#: For each branch whether it happened (coherence lost, behavior flipped), [gain, prompt].
Happened = Sequence[NDArray[np.bool_]]


class Pairs(NamedTuple):
    """Edges of which both measurements lie on the ladder: [edge, (first, second)] by unit."""

    sites: list[Hashable]
    alignment: NDArray[np.float64]
    octaves: NDArray[np.float64]


def site(coordinate: Coordinate) -> str:
    """What both poles of a neuron share: they are resampled together."""
    branch = coordinate.branch
    return branch.site if isinstance(branch, Neuron) else str(branch)


def measured_edges(
    branches: Sequence[Coordinate], gains: Sequence[float], happened: Happened
) -> list[Edge]:
    """The measured edge of each branch, where half of the prompts happened.

    Gains beyond a branch's cap have no row.
    """
    edges = []
    for coordinate, rows in zip(branches, happened, strict=True):
        gain = crossing(gains[: len(rows)], rows.mean(1).tolist(), HALF)
        edges.append(coordinate.edge(gain, "measured", 4))
    return edges


def _pairs(branches: Sequence[Coordinate], first: Sequence[Edge], second: Sequence[Edge]) -> Pairs:
    sites: list[Hashable] = []
    alignment, octaves = [], []
    for coordinate, a, b in zip(branches, first, second, strict=True):
        if a.gain is not None and b.gain is not None:
            sites.append(site(coordinate))
            alignment.append((a.alignment, b.alignment))
            octaves.append((math.log2(a.gain), math.log2(b.gain)))
    units = (np.array(values, dtype=float).reshape(-1, 2) for values in (alignment, octaves))
    return Pairs(sites, *units)


def interval(values: Sequence[float], sites: Sequence[Hashable], seed: int = 0) -> MeanInterval:
    """A mean with its interval over neurons; without one below two neurons."""
    if len(set(sites)) < 2:
        mean = float(np.mean(values)) if len(values) else None
        return MeanInterval(value=mean, low=None, high=None, n=len(values))
    return MeanInterval(**cluster_bootstrap(values, sites, seed)._asdict())


def _counts(first: Sequence[Edge], second: Sequence[Edge]) -> dict[str, int]:
    beyond = [a.censored + b.censored for a, b in zip(first, second, strict=True)]
    return {"n": beyond.count(0), "one_censored": beyond.count(1), "both_censored": beyond.count(2)}


def edge_noise(
    branches: Sequence[Coordinate], first: Sequence[Edge], second: Sequence[Edge]
) -> EdgeNoise:
    """The noise of one measured edge, from two equal measurements of many."""
    pairs = _pairs(branches, first, second)
    cos, log2 = (_noise(values, pairs.sites) for values in (pairs.alignment, pairs.octaves))
    return EdgeNoise(**_counts(first, second), cos=cos, log2=log2)


def _noise(values: NDArray[Any], sites: Sequence[Hashable]) -> Noise:
    repeat = repeatability(values[:, 0].tolist(), values[:, 1].tolist())
    apart = np.abs(values[:, 0] - values[:, 1]) / math.sqrt(2)
    around = interval(apart.tolist(), sites)
    return Noise(sd=repeat.sd, floor=repeat.floor, low=around.low, high=around.high)


def split_half(
    branches: Sequence[Coordinate], gains: Sequence[float], happened: Happened
) -> EdgeNoise:
    """The noise of an edge on half of the prompts: every second prompt against the others."""
    even, odd = (
        measured_edges(branches, gains, [rows[:, half::2] for rows in happened]) for half in (0, 1)
    )
    return edge_noise(branches, even, odd)


def difference(
    branches: Sequence[Coordinate], first: Sequence[Edge], second: Sequence[Edge]
) -> EdgeDifference:
    """How far `second` lies from `first`: mean |difference| and median of second - first."""
    sites, alignment, octaves = _pairs(branches, first, second)
    cos, log2 = (values[:, 1] - values[:, 0] for values in (alignment, octaves))
    spread = len(cos) > 2 and bool((alignment.std(0) > 0).all())
    return EdgeDifference(
        **_counts(first, second),
        mae_cos=interval(np.abs(cos).tolist(), sites),
        mae_log2=interval(np.abs(log2).tolist(), sites),
        bias_cos=float(np.median(cos)) if len(cos) else None,
        bias_log2=float(np.median(log2)) if len(log2) else None,
        correlation=float(np.corrcoef(*alignment.T)[0, 1]) if spread else None,
    )


def noise_floor(rows: Sequence[CeilingRow]) -> NoiseFloor:
    """What a perfect prediction of measured ceilings would be off by, from those measured again.

    From halves of the prompts, with other luck: each half has twice the variance of the whole.
    `same_prompts` is the smaller one of new luck alone: a retest on all the same prompts.
    """
    again = [(row.measured, row.repeats) for row in rows if row.repeats is not None]
    halves = repeat_floor([repeats.halves for _, repeats in again], OF_HALVES)
    luck = repeat_floor([(first, repeats.retest) for first, repeats in again])
    return NoiseFloor(**dict(halves), same_prompts=luck)


def repeat_floor(
    pairs: Sequence[tuple[float | None, float | None]], over: float = 1.0
) -> RepeatFloor:
    """The noise floor of gains measured twice, over `over`; censored pairs are counted apart."""
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    censored = len(pairs) - len(both)
    if not both:
        return RepeatFloor(floor=None, log2=None, n=0, censored=censored)
    units = [
        repeatability([of_gain(a) for a, _ in both], [of_gain(b) for _, b in both]).floor / over
        for of_gain in (alignment_of_gain, math.log2)
    ]
    return RepeatFloor(floor=units[0], log2=units[1], n=len(both), censored=censored)
