"""The trigger: the smallest gain at which the behavior flips within a horizon (LAW.md section 3)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fulcra.models.coordinate import Coordinate
from fulcra.types import Edge
from fulcra.window.edges import gain_edge


def measured_trigger(at: Coordinate, gains: Sequence[float], flipped: NDArray[np.bool_]) -> Edge:
    """The gain at which half of the prompts flip; `flipped` is [gain, prompt], prompts that leak undosed left out."""
    gain, low, high = gain_edge(gains, flipped)
    return at.edge(gain, "measured", 4, low, high)
