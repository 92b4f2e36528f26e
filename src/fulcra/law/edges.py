"""One edge from the rates on a ladder of gains, with its bootstrap interval over prompts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import crossing
from fulcra.types import Edge

#: Half of the rollouts: where coherence is lost, and where a behavior counts as flipped.
HALF = 0.5
RESAMPLES = 200
#: Whether something happened, [gain, prompt]; as floats with nan where nothing was rolled out.
Happened = NDArray[np.bool_] | NDArray[np.float64]


class GainEdge(NamedTuple):
    """Where a rate reaches one half [gain], with its 5-95 % interval; None is beyond the ladder."""

    gain: float | None
    low: float | None
    high: float | None


def rates(happened: Happened) -> NDArray[np.float64]:
    """The share of rollouts that `happened` [..., prompt], nan where there are none."""
    rolled = ~np.isnan(happened.astype(float))
    with np.errstate(invalid="ignore"):
        shares: NDArray[np.float64] = np.nansum(happened, -1) / rolled.sum(-1)
    return shares


def gain_edge(gains: Sequence[float], happened: Happened, seed: int = 0) -> GainEdge:
    """The first gain at which half of the prompts `happened` [gain, prompt].

    Log-interpolated between rungs.
    """
    if happened.shape[1] == 0:
        return GainEdge(None, None, None)
    gain = crossing(gains, rates(happened).tolist(), HALF)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(happened.shape[1], size=(RESAMPLES, happened.shape[1]))
    resampled = rates(happened[:, drawn]).T  # [resample, gain]
    reached = np.sort(_edges(gains, resampled))
    low, high = reached[int(0.05 * RESAMPLES)], reached[int(0.95 * RESAMPLES)]
    return GainEdge(
        gain, float(low) if np.isfinite(low) else None, float(high) if np.isfinite(high) else None
    )


def _edges(gains: Sequence[float], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The gain at which each row of `shares` [resample, gain] reaches one half, inf beyond all.

    Few prompts have few shares: rows that are alike are looked at once.
    """
    rows = [tuple(row) for row in shares.tolist()]
    edges = {row: crossing(gains, row, HALF) for row in set(rows)}
    return np.array([np.inf if (edge := edges[row]) is None else edge for row in rows])


def measured_trigger(place: Coordinate, gains: Sequence[float], flipped: Happened) -> Edge:
    """The gain at which half of the prompts flip.

    `flipped` is [gain, prompt], prompts that leak undosed left out.
    """
    gain, low, high = gain_edge(gains, flipped)
    return place.edge(gain, "measured", 4, low, high)


def measured_ceiling(place: Coordinate, gains: Sequence[float], coherent: Happened) -> Edge:
    """The gain at which half of the rollouts have lost coherence.

    `coherent` is [gain, prompt], 16 prompts or more.
    """
    gain, low, high = gain_edge(gains, 1 - coherent.astype(float))
    return place.edge(gain, "measured", 4, low, high)
