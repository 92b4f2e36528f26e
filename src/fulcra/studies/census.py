"""Every branch of a small model measured: the truth for screens (law.md section 7)."""

import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, get_args

import pyarrow as pa

from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import rule_of_three, wilson
from fulcra.ladders import kl_ladder
from fulcra.models import Model
from fulcra.protocol.draw import both_poles
from fulcra.protocol.progress import Progress, cpu_seconds
from fulcra.protocol.results.census import (
    BRANCHES,
    SCHEMA,
    BranchSource,
    CensusResult,
    CensusSettings,
    LadderSeconds,
    MeasuredBranch,
    MissedRate,
    OpenCounts,
)
from fulcra.protocol.runs import Run, manifest_of, model_entry, named, provenance_of
from fulcra.protocol.subject import Ground, Subject, in_tokens_of
from fulcra.screens.candidates import movable
from fulcra.screens.dosed_logit import REACH, triggers
from fulcra.store import read_rows, write_rows
from fulcra.studies.staircase import Climbed, DrawnBranch, climb_all, start_rung
from fulcra.types import Behavior, Neuron

#: Branches whose ladders are stored together.
PART = 512


class Ladders(NamedTuple):
    """Forecast edges of one branch [gain], None beyond the ladder, and what each took [CPU s]."""

    trigger: float | None
    ceiling: float | None
    trigger_s: float = 0.0
    ceiling_s: float = 0.0


def census(
    model: Model,
    behavior: Behavior,
    settings: CensusSettings = CensusSettings(),
    out: Path | None = None,
    progress: Progress | None = None,
) -> CensusResult:
    """Which branches of the model open: both ladders of every branch, then rollouts of some.

    Rolled out are those whose trigger ladder crosses below 3 gains, and an audit sample. With
    `out`, census.json and branches.parquet are written there, and an interrupted census goes on.
    Cost: minutes of one core on a bundled organism.
    """
    behavior = in_tokens_of(model, behavior)
    run = Run.open(manifest_of("census", model, behavior, asdict(settings)), out, progress)
    if run.folder is not None and (run.folder.path / CensusResult.file).is_file():
        run.folder.drop_parts()
        return CensusResult.load(run.folder.path)
    subject = Subject.of(model, behavior, settings.seed)
    branches = both_poles(subject.ground, _neurons(subject.ground, settings))
    ladders = _ladders(run, subject, branches, settings.texts)
    climbed = climb_all(run, subject, _members(branches, ladders, settings), settings.controls)
    result = _result(run, subject, settings, ladders, climbed)
    if run.folder is not None:
        rows = [branch.row() for branch in climbed.branches]
        write_rows(run.folder.path / BRANCHES, rows, SCHEMA)
        result.save(run.folder.path)
        run.folder.drop_parts()
    return result


def _neurons(ground: Ground, settings: CensusSettings) -> list[Neuron]:
    """Every neuron whose dose moves the stream, or a random slice of them in the same order."""
    neurons = movable(ground.model, ground.stream)
    if settings.neurons is None or settings.neurons >= len(neurons):
        return neurons
    return sorted(random.Random(f"slice-{settings.seed}").sample(neurons, settings.neurons))


def _ladders(
    run: Run, subject: Subject, branches: Sequence[Coordinate], texts: int
) -> list[Ladders]:
    """Forecast trigger and ceiling of every branch; part by part, each stored."""
    ladders: list[Ladders] = []
    with run.clock.step("ladders", len(branches)) as bar:
        for number, start in enumerate(range(0, len(branches), PART)):
            part = branches[start : start + PART]
            path = run.folder.part(f"ladders-{number}") if run.folder is not None else None
            ladders += _part(subject, part, texts, path)
            bar.advance(len(part))
    return ladders


def _part(
    subject: Subject, branches: Sequence[Coordinate], texts: int, path: Path | None
) -> list[Ladders]:
    """The ladders of one part, read back where they are stored already."""
    schema = pa.schema([(name, pa.float64()) for name in Ladders._fields])
    if path is not None and path.exists():
        return [Ladders(**row) for row in read_rows(path, schema)]
    ladders = _forecast(subject, branches, texts)
    if path is not None:
        write_rows(path, [edges._asdict() for edges in ladders], schema)
    return ladders


def _forecast(subject: Subject, branches: Sequence[Coordinate], texts: int) -> list[Ladders]:
    """Both ladders of a part; what they take counts for each of its branches alike."""
    model, begun = subject.model, cpu_seconds()
    flips = triggers(model, subject.behavior, branches)
    between = cpu_seconds()
    losses = kl_ladder(model, branches, subject.ground.text.first(texts))
    trigger_s = (between - begun) / len(branches)
    ceiling_s = (cpu_seconds() - between) / len(branches)
    return [
        Ladders(flip.gain, loss.gain, trigger_s, ceiling_s)
        for flip, loss in zip(flips, losses, strict=True)
    ]


def _members(
    branches: Sequence[Coordinate], ladders: Sequence[Ladders], settings: CensusSettings
) -> list[DrawnBranch]:
    """Every branch; one that crosses is measured for itself, one of the audit for 1 / share."""
    count, share = len(branches), settings.audit
    drawn = random.Random(f"audit-{settings.seed}").sample(range(count), round(share * count))
    audited, members = set(drawn), []
    for i, (branch, edges) in enumerate(zip(branches, ladders, strict=True)):
        rung = 0 if i in audited else start_rung(edges.trigger)
        if edges.trigger is not None:
            members.append(DrawnBranch(branch, "forecast", 1.0, rung, *edges[:2]))
        elif i in audited:
            members.append(DrawnBranch(branch, "audit", 1 / share, rung, *edges[:2]))
        else:
            members.append(DrawnBranch(branch, "rest", 0.0, None, *edges[:2]))
    return members


def _result(
    run: Run,
    subject: Subject,
    settings: CensusSettings,
    ladders: Sequence[Ladders],
    climbed: Climbed,
) -> CensusResult:
    counts = open_counts(climbed.branches)
    result = CensusResult(
        schema_version=1,
        model=model_entry(subject.model),
        behavior=named(subject.behavior),
        settings=settings,
        gains=REACH,
        baseline=climbed.baseline,
        controls=tuple(climbed.controls),
        **dict(counts),
        ladder_seconds=LadderSeconds(
            trigger=sum(edges.trigger_s for edges in ladders),
            ceiling=sum(edges.ceiling_s for edges in ladders),
        ),
        provenance=provenance_of(
            subject.model, reference=subject.ground.reference.name, seed=settings.seed
        ),
        timing=run.clock.timing(),
    )
    return CensusResult.of(result.plain())


def open_counts(branches: Sequence[MeasuredBranch]) -> OpenCounts:
    """Counts of a census or a sample, and what its random part says of all others.

    The others are the branches that no forecast or screen pointed to.
    """
    audited = [branch for branch in branches if branch.source in ("audit", "random")]
    missed = sum(branch.smallest_open_gain is not None for branch in audited)
    rate = wilson(missed, len(audited))
    gains = [b.smallest_open_gain for b in branches if b.smallest_open_gain is not None]
    sources = [branch.source for branch in branches]
    return OpenCounts(
        branches=len(branches),
        sources={source: sources.count(source) for source in get_args(BranchSource)},
        open=len(gains),
        specific=sum(branch.relevant for branch in branches),
        smallest_open_gain=min(gains, default=None),
        missed=MissedRate(
            rate=rate.value,
            low=rate.low,
            high=rate.high if missed else rule_of_three(len(audited)),
            n=rate.n,
        ),
    )
