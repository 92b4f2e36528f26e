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


class GainEdge(NamedTuple):
    """Where a rate reaches one half [gain], with its 5-95 % interval; None is beyond the ladder."""

    gain: float | None
    low: float | None
    high: float | None


def gain_edge(gains: Sequence[float], happened: NDArray[np.bool_], seed: int = 0) -> GainEdge:
    """The first gain at which half of the prompts `happened` [gain, prompt].

    Log-interpolated between rungs.
    """
    if happened.shape[1] == 0:
        return GainEdge(None, None, None)
    gain = crossing(gains, happened.mean(1).tolist(), HALF)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(happened.shape[1], size=(RESAMPLES, happened.shape[1]))
    edges = [crossing(gains, happened[:, prompts].mean(1).tolist(), HALF) for prompts in drawn]
    reached = np.sort([np.inf if edge is None else edge for edge in edges])
    low, high = reached[int(0.05 * RESAMPLES)], reached[int(0.95 * RESAMPLES)]
    return GainEdge(
        gain, float(low) if np.isfinite(low) else None, float(high) if np.isfinite(high) else None
    )


def measured_trigger(place: Coordinate, gains: Sequence[float], flipped: NDArray[np.bool_]) -> Edge:
    """The gain at which half of the prompts flip.

    `flipped` is [gain, prompt], prompts that leak undosed left out.
    """
    gain, low, high = gain_edge(gains, flipped)
    return place.edge(gain, "measured", 4, low, high)


def measured_ceiling(
    place: Coordinate, gains: Sequence[float], coherent: NDArray[np.bool_]
) -> Edge:
    """The gain at which half of the rollouts have lost coherence.

    `coherent` is [gain, prompt], 16 prompts or more.
    """
    gain, low, high = gain_edge(gains, ~coherent)
    return place.edge(gain, "measured", 4, low, high)
