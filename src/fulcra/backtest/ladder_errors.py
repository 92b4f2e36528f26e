"""Why ladders err: every candidate on measured ceilings of development lineages (law.md 4)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fulcra.backtest.grouping import grouped
from fulcra.backtest.ladder_candidates import BY_NAME, CANDIDATES, Branches, Floats
from fulcra.backtest.ladder_curves import ModelCurves, model_curves
from fulcra.backtest.ladder_facts import LineageCurves, lineage_facts, noise_of, shifts
from fulcra.backtest.ladder_scores import Scorer, gain_or_none, noise_variance
from fulcra.backtest.split import Cabinet, LineageModel
from fulcra.errors import Inconclusive
from fulcra.formulas.resampling import cluster_draws
from fulcra.ladders.kl_ladder import CEILING_GAINS
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.ladder_errors import (
    CandidateScore,
    CurvesOf,
    ErrorRow,
    Estimate,
    LadderErrors,
    Noise,
)
from fulcra.protocol.results.validation import CeilingRow, ValidationResult

SCHEMA_VERSION = 1
#: The forecasts that one may be frozen of: those that the package ships, by their statistics.
SHIPPED, SHIPPED_OWN = ("kl_mean", "odd_unscaled", "odd"), "own_odd_8"


@dataclass(slots=True)
class Measured:
    """The measured branches of development lineages, and the curves of their models."""

    rows: list[CeilingRow] = field(default_factory=list)
    curves: list[ModelCurves] = field(default_factory=list)
    censored: int = 0

    def branches(self, rows: Sequence[CeilingRow]) -> Branches:
        """Some of the branches with their curves, those that any of them has."""
        own = {(m.model, b.branch): b.curves for m in self.curves for b in m.branches}
        tables = [own[row.model, row.branch] for row in rows]
        rungs = [len(table["kl_mean"]) for table in tables]
        names = dict.fromkeys(name for table in tables for name in table)
        columns = {name: [table.get(name, ()) for table in tables] for name in names}
        return Branches(
            curves={name: _matrix(column, rungs) for name, column in columns.items()},
            measured=np.array([row.measured for row in rows], float),
            last=np.array([row.last for row in rows]),
            lineage=np.array([row.lineage for row in rows]),
        )

    def lineages(self) -> Iterator[LineageCurves]:
        """Every lineage with its rows, its branches, and the undosed text of its models."""
        for name, rows in grouped(self.rows, lambda row: row.lineage).items():
            present = {row.model for row in rows}
            undosed = {m.model: m.undosed for m in self.curves if m.model in present}
            yield LineageCurves(name, rows, self.branches(rows), undosed)


def _matrix(curves: Sequence[Sequence[float | None]], rungs: Sequence[int]) -> Floats:
    """Curves as rows of a matrix, nan where a value is missing and beyond a branch's `rungs`.

    A curve that ends before them, coherence being lost, stays as it ended.
    """
    table = np.full((len(curves), len(CEILING_GAINS)), np.nan)
    for row, curve, count in zip(table, curves, rungs, strict=True):
        values = [np.nan if value is None else value for value in curve]
        if values:
            row[:count] = (values + values[-1:] * count)[:count]
    return table


def ladder_errors(
    study: ValidationResult,
    out: Path,
    cabinet: Cabinet,
    branches: int | None = None,
    progress: Progress | None = None,
) -> LadderErrors:
    """Every candidate on the development ceilings of a back-test, saved in `out`.

    An interrupted study goes on there. Held-out lineages are not read. `branches`: the first ones
    of each model alone. Inconclusive where no model of a development lineage is there. Cost: about
    5 seconds of one core a branch of the organisms.
    """
    clock, measured = Clock(progress or Silent()), Measured()
    missing: list[str] = []
    for lineage in study.split.development:
        missing += [name for name in lineage.ceilings if not cabinet.has(name)]
        for member in cabinet.members(lineage):
            rows = _rows(study, member)[:branches]
            reached = [row for row in rows if row.measured is not None]
            measured.censored += len(rows) - len(reached)
            if reached:
                path = out / member.model.name
                with clock.step(member.model.name, len(reached)) as bar:
                    curves = model_curves(member, reached, study.settings.seed, path, bar)
                measured.curves.append(curves)
                measured.rows += reached
    if not measured.rows:
        raise Inconclusive(
            "ladders: no measured ceiling of a development lineage whose model is bundled or in"
            f" {cabinet.organisms or 'any folder'}; give --organisms DIR"
        )
    result = LadderErrors.of(_result(study, measured, missing, clock).plain())
    result.save(out)
    return result


def _rows(study: ValidationResult, member: LineageModel) -> list[CeilingRow]:
    """The branches of a model that the back-test drew."""
    of = member.lineage.name, member.model.name
    return [row for row in study.rows.ceilings if (row.lineage, row.model) == of]


def _result(
    study: ValidationResult, measured: Measured, missing: Sequence[str], clock: Clock
) -> LadderErrors:
    scorer, lineages = _scorer(study, measured), list(measured.lineages())
    with clock.step("scores", len(CANDIDATES)) as bar:
        scores: dict[str, CandidateScore] = {}
        for candidate in CANDIDATES:
            scores[candidate.name] = scorer.scored(candidate)
            bar.advance(1)
    frozen = min(SHIPPED, key=lambda name: _error(scores[name]))
    return LadderErrors(
        schema_version=SCHEMA_VERSION,
        provenance=Provenance.now(seed=study.settings.seed),
        study_sha256=study.sha256,
        study_code=study.code,
        seed=study.settings.seed,
        curves={curves.model: _source(curves) for curves in measured.curves},
        missing=tuple(missing),
        noise=_mean_noise([noise_of(lineage.rows) for lineage in lineages]),
        censored=measured.censored,
        frozen=frozen,
        over_others={name: _over(scorer, frozen, name) for name in SHIPPED if name != frozen},
        frozen_own=SHIPPED_OWN,
        scores=scores,
        nested=tuple(scorer.nested()),
        lineages={lineage.name: lineage_facts(lineage, scorer) for lineage in lineages},
        horizons=tuple(shift for lineage in lineages for shift in shifts(lineage, scorer)),
        rows=tuple(_error_rows(measured, scorer)),
        timing=clock.timing(),
    )


def _scorer(study: ValidationResult, measured: Measured) -> Scorer:
    groups = grouped(measured.rows, lambda row: row.lineage)
    ordered = [row for rows in groups.values() for row in rows]
    measured.rows = ordered
    neurons = {name: [(row.model, row.neuron) for row in rows] for name, rows in groups.items()}
    draws = {name: cluster_draws(labels, study.settings.seed) for name, labels in neurons.items()}
    noise = {name: noise_variance(rows) for name, rows in groups.items()}
    return Scorer(measured.branches(ordered), draws, noise)


def _source(curves: ModelCurves) -> CurvesOf:
    return CurvesOf(
        sha256=curves.model_sha256,
        generic_sha256=curves.generic_sha256,
        level=curves.level,
        code=curves.code,
    )


def _error(score: CandidateScore) -> float:
    """The mean error at a frozen level; those without one come last."""
    value = None if score.frozen is None else score.frozen.cos.value
    return np.inf if value is None else value


def _over(scorer: Scorer, first: str, second: str) -> Estimate:
    """The mean error of one forecast less that of another at frozen levels, branch by branch."""
    gains = [scorer.frozen(BY_NAME[name]) for name in (first, second)]
    errors = [scorer.branches.errors(row) for row in gains if row is not None]
    return scorer.estimate(errors[0] - errors[1])


def _mean_noise(floors: Sequence[Noise]) -> Noise:
    """The mean of the lineages that have one."""
    units = [[f.cos for f in floors], [f.log2 for f in floors]]
    present = [[value for value in unit if value is not None] for unit in units]
    cos, log2 = (sum(unit) / len(unit) if unit else None for unit in present)
    return Noise(cos=cos, log2=log2)


def _error_rows(measured: Measured, scorer: Scorer) -> list[ErrorRow]:
    """Every branch with all its forecasts."""
    frozen = {c.name: gains for c in CANDIDATES if (gains := scorer.frozen(c)) is not None}
    fitted = {c.name: f.gains for c in CANDIDATES if (f := scorer.fitted(c)) is not None}
    return [
        ErrorRow(
            lineage=row.lineage,
            model=row.model,
            branch=row.branch,
            neuron=row.neuron,
            last=row.last,
            measured=row.measured or 0.0,
            frozen={name: gain_or_none(gains[i]) for name, gains in frozen.items()},
            fitted={name: gain_or_none(gains[i]) for name, gains in fitted.items()},
        )
        for i, row in enumerate(measured.rows)
    ]
