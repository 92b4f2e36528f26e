"""The rungs around an edge, found without the rest of the ladder."""

from collections.abc import Callable, Sequence

import numpy as np

from fulcra.formulas.intervals import crossing
from fulcra.models.coordinate import Coordinate

#: Values at (branch, rung) pairs.
Measure = Callable[[Sequence[tuple[int, int]]], Sequence[float]]


def crossings(measure: Measure, rungs: Sequence[int], gains: Sequence[float], level: float) -> list[float | None]:
    """For each branch the gain at which its values reach `level`, by bisection over the rungs of one ladder.

    `rungs` [branch] is how many of the gains exist on each branch (a normalization cap ends a ladder early).

    Both rungs beside the edge are measured, so the answer is that of the whole ladder wherever the values do not fall
    back below the level after they first reached it. Cost: about log2(len(gains) + 1) rungs a branch.
    """
    values = np.full((len(rungs), len(gains)), np.nan)
    below, above = np.full(len(rungs), -1), np.array(rungs, dtype=np.int64)
    while (open_ := np.flatnonzero(above - below > 1)).size:
        pairs = [(int(branch), int(below[branch] + above[branch]) // 2) for branch in open_]
        for (branch, rung), value in zip(pairs, measure(pairs), strict=True):
            values[branch, rung] = value
            (above if value >= level else below)[branch] = rung
    return [None if above[i] == rungs[i] else _between(gains, values[i].tolist(), int(above[i]), level) for i in range(len(rungs))]


def _between(gains: Sequence[float], values: Sequence[float], above: int, level: float) -> float | None:
    beside = slice(max(0, above - 1), above + 1)
    return crossing(gains[beside], values[beside], level)


def existing(branches: Sequence[Coordinate], gains: Sequence[float]) -> list[int]:
    """How many gains of an increasing ladder exist on each branch."""
    return [sum(branch.reaches(gain) for gain in gains) for branch in branches]
