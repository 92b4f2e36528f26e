"""Why closed branches are closed, and whether three of the reasons are what they say."""

from collections.abc import Sequence

import numpy as np

from fulcra.backtest.depth_rows import DrawnBranch
from fulcra.backtest.drawn_rows import Floats, Resamples
from fulcra.formulas.ranking import aurocs
from fulcra.protocol.results.bounded import Bounded
from fulcra.protocol.results.depth import REASONS, Reason, Reasons


def reasons(rows: Sequence[DrawnBranch], seed: int) -> Reasons:
    """The weighed shares of every reason among closed branches, and the three tests."""
    closed = [row for row in rows if row.reason is not None]
    again, weights = _resamples(closed, seed), _weights(closed)
    first = [row for row in closed if row.reason == "collapse_first"]
    capped = [row for row in closed if row.reason == "norm_capped"]
    deep = [row for row in closed if row.deep]
    collapsed = np.array([row.collapsed for row in first], float)
    unchanged = np.array([row.unchanged for row in capped], float)
    return Reasons(
        n=len(closed),
        shares={reason: again.mean(_marks(closed, reason), weights) for reason in REASONS},
        collapsed=_resamples(first, seed).mean(collapsed, _weights(first)),
        unchanged=_resamples(capped, seed).mean(unchanged, _weights(capped)),
        deeper=deeper(deep, seed),
        tested={
            "collapse_first": int(np.isfinite(collapsed).sum()),
            "norm_capped": len(capped),
            "too_late": sum(row.reason == "too_late" for row in deep),
        },
    )


def _resamples(rows: Sequence[DrawnBranch], seed: int) -> Resamples:
    return Resamples.of([row.at.site for row in rows], seed)


def _weights(rows: Sequence[DrawnBranch]) -> Floats:
    return np.array([row.weight for row in rows], float)


def _marks(rows: Sequence[DrawnBranch], reason: Reason) -> Floats:
    return np.array([row.reason == reason for row in rows], float)


def deeper(rows: Sequence[DrawnBranch], seed: int) -> Bounded:
    """The weighed AUROC of depth for too_late, over the pairs of branches of one case."""
    weights = _weights(rows)
    return _resamples(rows, seed).figure(lambda drawn: _within(rows, drawn * weights))


def _within(rows: Sequence[DrawnBranch], weightings: Floats) -> Floats:
    """The AUROC within cases under each weighting, a case counting by its pairs; else nan."""
    depths, late = np.array([row.depth for row in rows]), _marks(rows, "too_late") > 0
    names = [row.at.case for row in rows]
    won, pairs = np.zeros(len(weightings)), np.zeros(len(weightings))
    for case in dict.fromkeys(names):
        mine = np.array([name == case for name in names])
        size, marks = weightings[:, mine], late[mine]
        n = size[:, marks].sum(1) * size[:, ~marks].sum(1)
        won += n * np.nan_to_num(aurocs(depths[mine], marks, size))
        pairs += n
    area: Floats = won / pairs
    return area
