"""What stands behind the errors of ladders, by lineage: text, loops, grammar, entropy, horizons."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fulcra.backtest.ladder_candidates import BY_NAME, LOGS, Branches, Floats, crossed, own_levels
from fulcra.backtest.ladder_scores import Scorer
from fulcra.backtest.noise import noise_floor
from fulcra.law.edges import HALF
from fulcra.protocol.results.ladder_errors import Lag, LineageFacts, Noise, Shift
from fulcra.protocol.results.validation import CeilingRow

#: The horizon of measured ceilings, and those that it is held against.
HORIZON, OTHERS = 32, (16, 48)


@dataclass(frozen=True, slots=True)
class LineageCurves:
    """One lineage: its measured branches, the rows they come from, its models' undosed text.

    undosed holds the statistics of each model by its name.
    """

    name: str
    rows: Sequence[CeilingRow]
    branches: Branches
    undosed: Mapping[str, Mapping[str, float]]


def lineage_facts(lineage: LineageCurves, scorer: Scorer) -> LineageFacts:
    """The facts of one lineage, those of undosed text in the mean of its models."""
    return LineageFacts(
        models=tuple(lineage.undosed),
        branches=len(lineage.rows),
        noise=noise_of(lineage.rows),
        entropy=_undosed(lineage, "entropy"),
        odd_share=_undosed(lineage, "odd"),
        tokens=_undosed(lineage, "tokens"),
        by_surprise=_beside(lineage.branches, "by_surprise"),
        by_loop_alone=_beside(lineage.branches, "by_loop_alone"),
        odd_after_sound=_or_none(_beside(lineage.branches, "odd_after_sound")),
        odd_after_odd=_or_none(_beside(lineage.branches, "odd_after_odd")),
        lag=_lag(lineage, scorer),
    )


def noise_of(rows: Sequence[CeilingRow]) -> Noise:
    """What a perfect forecast of these ceilings would be off by, from halves of their prompts."""
    floor = noise_floor(rows)
    return Noise(cos=floor.floor, log2=floor.log2)


def _undosed(lineage: LineageCurves, name: str) -> float:
    return float(np.mean([values[name] for values in lineage.undosed.values()]))


def _beside(branches: Branches, name: str) -> float:
    """The mean of a curve at the rung next to each measured ceiling; nan where it never stands."""
    rungs = np.abs(np.log(branches.measured)[:, None] - LOGS).argmin(1)
    values = branches.curves[name][np.arange(len(rungs)), rungs]
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _lag(lineage: LineageCurves, scorer: Scorer) -> Lag | None:
    """The lag of coherence behind the grammar; None without a grammar, or where no edge has it."""
    branches = lineage.branches
    if "broken" not in branches.curves:
        return None
    lag = _octaves(branches, "lost_32", HALF, "broken", HALF)
    forecast = branches.gains(BY_NAME["odd"], own_levels(BY_NAME["odd"]) or {})
    error = np.log2(branches.reached(forecast)) - np.log2(branches.measured)
    both = np.isfinite(lag)
    if both.sum() < 3:
        return None
    whole = np.full(len(scorer.branches.measured), np.nan)
    whole[scorer.branches.lineage == lineage.name] = lag
    return Lag(
        log2=scorer.estimate(whole),
        correlation=float(np.corrcoef(lag[both], error[both])[0, 1]),
        n=int(both.sum()),
        broken_undosed=_undosed(lineage, "broken"),
    )


def _octaves(branches: Branches, name: str, level: float, other: str, under: float) -> Floats:
    """log2 of the gain at which one curve crosses over that of another, [branch]; nan beyond."""
    first, second = branches.curves[name], branches.curves[other]
    octaves: Floats = np.log2(crossed(first, level)) - np.log2(crossed(second, under))
    return octaves


def shifts(lineage: LineageCurves, scorer: Scorer) -> list[Shift]:
    """How far other horizons move the ceilings of a lineage, observed and as models foresee it."""
    where = scorer.branches.lineage == lineage.name
    rows = []
    for tokens in OTHERS:
        moved = {
            kind: _octaves(lineage.branches, f"{kind}_{tokens}", HALF, f"{kind}_{HORIZON}", HALF)
            for kind in ("lost", "judge", "hazard")
        }
        whole = np.full(len(where), np.nan)
        whole[where] = moved["lost"]
        shift = Shift(
            lineage=lineage.name,
            tokens=tokens,
            observed=scorer.estimate(whole),
            judge=_mean(moved["judge"]),
            hazard=_mean(moved["hazard"]),
            n=int(np.isfinite(moved["lost"]).sum()),
        )
        rows.append(shift)
    return rows


def _mean(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None
