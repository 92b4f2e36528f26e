"""The rungs around an edge, found without the rest of the ladder."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import crossing
from fulcra.types import Edge, Edit

#: Rungs that a climb from below measures at once.
CLIMBED = 5
#: Values at (branch, rung) pairs.
Measure = Callable[[Sequence[tuple[int, int]]], Sequence[float]]


def crossings(
    measure: Measure, rungs: Sequence[int], gains: Sequence[float], level: float
) -> list[float | None]:
    """The gain at which each branch's values reach `level`; None beyond its `rungs` first rungs.

    By bisection. Both rungs beside the edge are measured, so the answer is that of the whole ladder
    wherever the values do not fall back below the level after they first reached it. Cost: about
    log2(len(gains) + 1) rungs a branch.
    """
    values, tops = np.full((len(rungs), len(gains)), np.nan), np.array(rungs, dtype=int)
    below, above = np.full(len(rungs), -1), tops.copy()
    while (open_ := np.flatnonzero(above - below > 1)).size:
        pairs = [(int(branch), int(below[branch] + above[branch]) // 2) for branch in open_]
        for (branch, rung), value in zip(pairs, measure(pairs), strict=True):
            values[branch, rung] = value
            (above if value >= level else below)[branch] = rung
    return [
        None if above[i] == tops[i] else _edge(gains, values[i], int(above[i]), level)
        for i in range(len(rungs))
    ]


def bisected(
    branches: Sequence[Coordinate],
    cost: Callable[[Sequence[Edit]], Tensor],
    gains: Sequence[float],
    level: float,
    method: str,
    tier: int = 2,
) -> list[Edge]:
    """The predicted edge of each branch, where `cost` [dose] of its dose reaches `level`.

    Censored beyond its rungs.
    """

    def measure(pairs: Sequence[tuple[int, int]]) -> list[float]:
        costs: list[float] = cost([branches[b].dose(gains[rung]) for b, rung in pairs]).tolist()
        return costs

    edges = crossings(measure, [branch.rungs(gains) for branch in branches], gains, level)
    return [branch.edge(gain, method, tier) for branch, gain in zip(branches, edges, strict=True)]


def _edge(
    gains: Sequence[float],
    values: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    above: int,
    level: float,
) -> float | None:
    rungs = slice(max(0, above - 1), above + 1)
    return crossing(gains[rungs], values[rungs].tolist(), level)


def first_crossings(
    measure: Measure, rungs: Sequence[int], gains: Sequence[float], level: float
) -> list[float | None]:
    """The gain at which each branch's values first reach `level`, whatever they do above.

    A climb from below, for values that may fall back, where bisection would miss a narrow rise.
    Cost: the rungs up to the edge, all of them where there is none.
    """
    values: list[list[float]] = [[] for _ in rungs]
    for start in range(0, len(gains), CLIMBED):
        climbing = [
            branch for branch, row in enumerate(values) if not any(value >= level for value in row)
        ]
        pairs = [
            (branch, rung)
            for branch in climbing
            for rung in range(start, min(start + CLIMBED, rungs[branch]))
        ]
        for (branch, _), value in zip(pairs, measure(pairs) if pairs else (), strict=True):
            values[branch].append(value)
    return [crossing(gains[: len(row)], row, level) for row in values]
