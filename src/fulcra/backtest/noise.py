"""Measured edges against each other: two runs, two halves of the prompts, two detectors; censored
edges counted apart.
"""

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import crossing
from fulcra.formulas.repeatability import repeatability
from fulcra.formulas.resampling import cluster_bootstrap
from fulcra.law.edges import HALF
from fulcra.types import Edge

#: For each branch whether it happened (coherence lost, behavior flipped), [gain, prompt].
Happened = Sequence[NDArray[np.bool_]]


def measured_edges(
    branches: Sequence[Coordinate], gains: Sequence[float], happened: Happened
) -> list[Edge]:
    """The measured edge of each branch, where half of the prompts happened; gains beyond a branch's
    cap have no row.
    """
    rungs = [gains[: len(rows)] for rows in happened]
    found = (
        crossing(some, rows.mean(1).tolist(), HALF)
        for some, rows in zip(rungs, happened, strict=True)
    )
    return [at.edge(gain, "measured", 4) for at, gain in zip(branches, found, strict=True)]


def _site(at: Coordinate) -> Hashable:
    """What both poles of a neuron share: they are resampled together."""
    return getattr(at.branch, "site", str(at.branch))


def _both(
    branches: Sequence[Coordinate], first: Sequence[Edge], second: Sequence[Edge]
) -> tuple[list[Hashable], NDArray[Any]]:
    """The sites of branches with both edges, and [edge, (alignment, alignment, log2 gain, log2
    gain)].
    """
    pairs = [
        (at, a, b)
        for at, a, b in zip(branches, first, second, strict=True)
        if a.gain is not None and b.gain is not None
    ]
    values = [
        (a.alignment, b.alignment, math.log2(a.gain or 1), math.log2(b.gain or 1))
        for _, a, b in pairs
    ]
    return [_site(at) for at, _, _ in pairs], np.array(values, dtype=float).reshape(-1, 4)


def interval(values: Sequence[float], sites: Sequence[Hashable], seed: int = 0) -> dict[str, Any]:
    """A mean with its interval over neurons; without one below two neurons."""
    if len(set(sites)) < 2:
        return {
            "value": float(np.mean(values)) if len(values) else None,
            "low": None,
            "high": None,
            "n": len(values),
        }
    return cluster_bootstrap(values, sites, seed)._asdict()


def _counts(first: Sequence[Edge], second: Sequence[Edge]) -> dict[str, int]:
    beyond = [a.censored + b.censored for a, b in zip(first, second, strict=True)]
    return {"n": beyond.count(0), "one_censored": beyond.count(1), "both_censored": beyond.count(2)}


def noise(
    branches: Sequence[Coordinate], first: Sequence[Edge], second: Sequence[Edge]
) -> dict[str, Any]:
    """The noise of one measured edge, from two equal measurements: sd, and the floor below which no
    MAE can honestly fall.
    """
    sites, values = _both(branches, first, second)
    found: dict[str, Any] = _counts(first, second)
    for name, (a, b) in {"cos": (0, 1), "log2": (2, 3)}.items():
        repeat = repeatability(values[:, a].tolist(), values[:, b].tolist())
        floor = interval((np.abs(values[:, a] - values[:, b]) / math.sqrt(2)).tolist(), sites)
        found[name] = {
            "sd": repeat.sd,
            "floor": repeat.floor,
            "low": floor["low"],
            "high": floor["high"],
        }
    return found


def split_half(
    branches: Sequence[Coordinate], gains: Sequence[float], happened: Happened
) -> dict[str, Any]:
    """The noise of an edge measured on half of the prompts, from every second prompt against the
    others.
    """
    return noise(
        branches,
        *(
            measured_edges(branches, gains, [rows[:, half::2] for rows in happened])
            for half in (0, 1)
        ),
    )


def difference(
    branches: Sequence[Coordinate], first: Sequence[Edge], second: Sequence[Edge]
) -> dict[str, Any]:
    """How far `second` lies from `first`: mean |difference| in cos and log2 gain, bias (median,
    second - first), correlation in cos.
    """
    sites, values = _both(branches, first, second)
    cos, log2 = values[:, 1] - values[:, 0], values[:, 3] - values[:, 2]
    spread = len(values) > 2 and values[:, 0].std() > 0 and values[:, 1].std() > 0
    return {
        **_counts(first, second),
        "mae_cos": interval(np.abs(cos).tolist(), sites),
        "mae_log2": interval(np.abs(log2).tolist(), sites),
        "bias_cos": float(np.median(cos)) if len(cos) else None,
        "bias_log2": float(np.median(log2)) if len(log2) else None,
        "correlation": float(np.corrcoef(values[:, 0], values[:, 1])[0, 1]) if spread else None,
    }
