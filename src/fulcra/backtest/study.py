"""The study: ceilings and windows of every model of the split, then the figures of their rows.

law.md sections 3 to 5.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from fulcra.backtest.ceiling_scores import ceiling_scores, kl_at_ceiling, method_scores
from fulcra.backtest.ceilings import RETEST, ceiling_rows
from fulcra.backtest.constancy import constancy
from fulcra.backtest.detector import validated_detector
from fulcra.backtest.grouping import grouped
from fulcra.backtest.noise import noise_floor
from fulcra.backtest.organism_ladder import measured_ladder
from fulcra.backtest.outside_scope import OutsideRow, outside_rows
from fulcra.backtest.split import Cabinet, LineageModel
from fulcra.backtest.targets import targets
from fulcra.backtest.verdict_scores import baseline_scores, failure_modes, verdict_scores
from fulcra.backtest.windows import PoolRow, measured_windows
from fulcra.errors import Inconclusive
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.provenance import code_version
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.coherence import DetectorSettings, DetectorStudies
from fulcra.protocol.results.organism_ladder import OrganismLadder
from fulcra.protocol.results.split import Split
from fulcra.protocol.results.validation import (
    ByBehavior,
    ByLineage,
    CeilingRow,
    CeilingScore,
    NoiseFloor,
    Parts,
    ProtocolRow,
    StudyRows,
    StudySize,
    ValidationResult,
    VerdictRow,
    VerdictScore,
)
from fulcra.store import RunFolder

SCHEMA_VERSION = 1
FULL = StudySize()
#: Every part of the study on what is bundled, in seconds; concludes nothing.
REDUCED = StudySize(
    neurons=1,
    pool=4,
    branches=3,
    generality=0,
    searched=8,
    rungs=1,
    detector=1,
    gains=(0.3, 0.65, 1.2),
)
PARTS = ("held_out", "development")
Row = TypeVar("Row", CeilingRow, VerdictRow)
CaseRow = TypeVar("CaseRow", VerdictRow, PoolRow)
Group = TypeVar("Group")
Score = TypeVar("Score")


@dataclass(slots=True)
class Study:
    """What is asked of a study, and the rows of all models so far."""

    split: Split
    size: StudySize
    reduced: bool
    missing: Sequence[str]
    clock: Clock
    ceilings: list[CeilingRow] = field(default_factory=list)
    verdicts: list[VerdictRow] = field(default_factory=list)
    pool: list[PoolRow] = field(default_factory=list)
    protocol: list[ProtocolRow] = field(default_factory=list)
    outside: list[OutsideRow] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def of_protocol(self, rows: Iterable[CaseRow]) -> list[CaseRow]:
        """The rows of models and behaviors whose protocol held."""
        reproduced = {row.name for row in self.protocol if row.reproduced}
        return [row for row in rows if row.name in reproduced]

    def parts(self, rows: Iterable[Row]) -> dict[str, list[Row]]:
        """The rows of the held-out and of the development lineages, where there are any."""
        held = {lineage.name for lineage in self.split.held_out}
        parts = grouped(rows, lambda row: PARTS[row.lineage not in held])
        return {part: parts[part] for part in PARTS if part in parts}


def validate(
    split: Split,
    out: Path,
    cabinet: Cabinet,
    size: StudySize = FULL,
    reduced: bool = False,
    progress: Progress | None = None,
) -> ValidationResult:
    """The whole back-test, saved in `out`, where an interrupted study goes on.

    Inconclusive where models of the split are missing, unless `reduced`. Cost at full size: about
    six minutes of one core a lineage, one for an organism of the ladder.
    """
    missing = cabinet.missing(split)
    if missing and not reduced:
        raise Inconclusive(
            f"validate: {len(missing)} models of the split are neither bundled nor in"
            f" {cabinet.organisms or 'any folder'}: {', '.join(missing)}; train them (`python"
            " organisms/train.py NAME`), or ask for --reduced"
        )
    clock = Clock(progress or Silent())
    study = Study(split, size, reduced, missing, clock)
    settings = DetectorSettings(size.detector, seed=size.seed)
    detector = validated_detector(split, cabinet, settings, out / "detector", clock.progress)
    for lineage in split.lineages:
        for member in cabinet.members(lineage):
            _measure(study, member, out / member.model.name)
    ladder = measured_ladder(split, cabinet, size, out / "ladder", clock)
    result = _result(study, detector, ladder)
    result.save(out)
    return result


def _measure(study: Study, member: LineageModel, path: Path) -> None:
    """Add the rows of one model: its ceilings, and its windows by behavior."""
    name, lineage = member.model.name, member.lineage
    if name in lineage.ceilings:
        _measure_ceilings(study, member, path / "ceilings")
    for behavior in lineage.verdicts.get(name, ()):
        try:
            windows = measured_windows(member, behavior, study.size, path / behavior, study.clock)
        except Inconclusive as refusal:
            study.left_out[f"{name} {behavior}"] = str(refusal)
            continue
        study.verdicts += windows.rows
        study.pool += windows.pool
        study.protocol.append(windows.protocol)


def _measure_ceilings(study: Study, member: LineageModel, path: Path) -> None:
    model, size, progress = member.model, study.size, study.clock.progress
    manifest = {
        "command": "validate ceilings",
        "model": model.name,
        "model_sha256": model.sha256,
        "plan": {"neurons": size.neurons, "retest": RETEST, "seed": size.seed},
        "code": code_version(),
    }
    folder = RunFolder.open(path, manifest)
    rows = ceiling_rows(member, size, folder, progress)
    if not rows:
        study.left_out[model.name] = (
            "it collapses undosed: half of its clean rollouts are not coherent, so no ceiling can"
            " be measured"
        )
        return
    study.ceilings += rows
    if size.generality and model.name == member.lineage.ceilings[0]:
        part = folder.path / "parts" / "generality.json"
        study.outside += outside_rows(member, size, part, progress)


def _result(
    study: Study, detector: DetectorStudies, ladder: OrganismLadder | None
) -> ValidationResult:
    """The figures of all rows, their numbers as the file holds them."""
    seed, verdicts = study.size.seed, study.of_protocol(study.verdicts)
    lineages = grouped(study.ceilings, lambda row: row.lineage)
    result = ValidationResult(
        schema_version=SCHEMA_VERSION,
        split=study.split.whole(),
        split_sha256=study.split.sha256,
        settings=study.size,
        code=code_version(),
        reduced=study.reduced,
        missing=tuple(study.missing),
        left_out=study.left_out,
        protocol_reproduced=bool(study.protocol) and all(row.reproduced for row in study.protocol),
        protocol=tuple(study.protocol),
        ceilings=_ceiling_figures(study, lineages),
        noise_floor=_noise_figures(study, lineages),
        verdicts=_verdict_figures(study, verdicts),
        baselines=Parts(**_each(study.parts(verdicts), baseline_scores)),
        kl_at_ceiling=_each(lineages, kl_at_ceiling),
        universality=constancy(_main(study, study.ceilings), study.of_protocol(study.pool)),
        generality=_each(
            grouped(study.outside, lambda row: row.kind), partial(method_scores, seed=seed)
        ),
        rows=StudyRows(ceilings=tuple(study.ceilings), verdicts=tuple(study.verdicts)),
        detector=detector,
        ladder=ladder,
        timing=study.clock.timing(),
        modes=_each(grouped(verdicts, lambda row: row.lineage), failure_modes),
        provenance=Provenance.now(seed=seed),
    )
    result = ValidationResult.of(result.plain())
    return result.model_copy(update={"targets": targets(result)})


def _each(groups: Mapping[str, Group], score: Callable[[Group], Score]) -> dict[str, Score]:
    """The figures of every group of rows."""
    return {name: score(rows) for name, rows in groups.items()}


def _main(study: Study, rows: Sequence[Row]) -> list[Row]:
    """The rows that are concluded from: held out, or development where a reduced study has none."""
    parts = study.parts(rows)
    whole = not study.reduced or "held_out" in study.parts(study.ceilings)
    return parts.get("held_out" if whole else "development", [])


def _ceiling_figures(
    study: Study, lineages: Mapping[str, list[CeilingRow]]
) -> ByLineage[dict[str, CeilingScore]]:
    score = partial(ceiling_scores, seed=study.size.seed)
    parts = _each(study.parts(study.ceilings), score)
    return ByLineage(**parts, lineages=_each(lineages, score))


def _noise_figures(study: Study, lineages: Mapping[str, list[CeilingRow]]) -> ByLineage[NoiseFloor]:
    parts = _each(study.parts(study.ceilings), noise_floor)
    return ByLineage(**parts, lineages=_each(lineages, noise_floor))


def _verdict_figures(
    study: Study, rows: Sequence[VerdictRow]
) -> ByBehavior[dict[str, VerdictScore]]:
    score = partial(verdict_scores, seed=study.size.seed)
    return ByBehavior(
        **_each(study.parts(rows), score),
        behaviors=_each(grouped(_main(study, rows), lambda row: row.behavior), score),
        lineages=_each(grouped(rows, lambda row: row.lineage), score),
    )
