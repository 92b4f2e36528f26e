"""One case of a registered study: a pool forecast, branches drawn by chance, an audit of them.

The audit's folder is sealed like any other, so `fulcra verify` reads it, and the rows of the study
are made from files alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fulcra.backtest.chance_curves import Member
from fulcra.backtest.chances import branch_chances
from fulcra.backtest.split import LineageModel
from fulcra.backtest.windows import verdict_row
from fulcra.behaviors import load_behavior
from fulcra.behaviors.splits import widened
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.inclusion import inclusion_probabilities, systematic_sample
from fulcra.protocol.chances import Chance
from fulcra.protocol.commit import Plan, measure_baseline, measure_committed, require_baseline
from fulcra.protocol.finish import finished, reopened
from fulcra.protocol.measure import Measurement
from fulcra.protocol.predictors import sampled_surprise
from fulcra.protocol.progress import Clock
from fulcra.protocol.results.audit import AuditResult, Branch
from fulcra.protocol.results.chances import (
    ChanceRow,
    ChanceSettings,
    ChancesResult,
    End,
    ModelChances,
)
from fulcra.protocol.results.commitment import Commitment
from fulcra.protocol.results.design import Design, DesignSize
from fulcra.protocol.results.validation import ProtocolRow, VerdictRow
from fulcra.protocol.runs import Run, manifest_of
from fulcra.protocol.source import remember
from fulcra.protocol.stages import Forecast, forecast
from fulcra.protocol.subject import Subject, in_tokens_of
from fulcra.store import COMMITMENT, read_json
from fulcra.types import Behavior, Neuron

POOL, RUN = "pool", "audit"


class MeasuredCase(NamedTuple):
    """What one case showed: its rows, its drawn branches with their chances, and its protocol."""

    rows: tuple[VerdictRow, ...]
    chances: ModelChances
    protocol: ProtocolRow


class CasePlace(NamedTuple):
    """Where a case is kept, and the ledger that its commitment is entered in."""

    folder: Path
    ledger: Path | None


def measured_case(
    member: LineageModel, name: str, design: Design, place: CasePlace, clock: Clock
) -> MeasuredCase:
    """The case of one model and behavior; what is over is read back, an interrupted one goes on.

    Inconclusive where the undosed model does not show the behavior.
    """
    size = design.size_of(member.lineage.name)
    behavior = widened(load_behavior(name, member.lineage.world), size.prompts)
    behavior = in_tokens_of(member.model, behavior)
    pool = _pool(member, behavior, size, place.folder / POOL, clock)
    settings = {
        "neurons": 0,
        "seed": size.seed,
        "gains": size.gains,
        "measure": size.measure,
        "prompts": size.prompts,
        "screen": "chance",
        "design": design.sha256,
    }
    manifest = manifest_of("study", member.model, behavior, settings)
    run = Run.open(manifest, place.folder / RUN, clock, place.ledger)
    if reopened(run) is None:
        _measure(run, member, behavior, drawn_by_chance(pool.rows, size))
    return case_of(place.folder, member, pool)


def _pool(
    member: LineageModel, behavior: Behavior, size: DesignSize, place: Path, clock: Clock
) -> ModelChances:
    """The chances of random branches by the frozen noise; nothing of them is measured."""
    settings = ChanceSettings(others=2 * size.pool, seed=size.seed)
    chanced = branch_chances([Member(member.model, behavior)], settings, place, clock.progress)
    return ChancesResult.of(chanced.plain()).models[0]


def drawn_by_chance(pool: Sequence[ChanceRow], size: DesignSize) -> list[ChanceRow]:
    """The branches of a pool that are measured, each with the number of them it stands for.

    Drawn in proportion to chance + floor, so that much of what opens is drawn and nothing is left
    without a chance to be.
    """
    inclusion = inclusion_probabilities([row.open + size.floor for row in pool], size.branches)
    return [
        pool[i].model_copy(update={"weight": float(1 / inclusion[i])})
        for i in systematic_sample(inclusion, size.seed)
    ]


def _measure(
    run: Run, member: LineageModel, behavior: Behavior, drawn: Sequence[ChanceRow]
) -> AuditResult:
    """The drawn branches, forecast, committed and measured without pins and controls."""
    assert run.folder is not None  # a study is always kept
    remember(run.folder.path, member.model, behavior)
    with run.clock.step(f"{member.model.name} {behavior.name} ground", 0):
        subject = Subject.of(member.model, behavior, run.manifest["settings"]["seed"])
    measure = Measurement(subject, subject.horizons, run.folder, run.salt)
    baseline = measure_baseline(run, measure)
    require_baseline(behavior, baseline)
    places = [subject.coordinate(Neuron.parse(row.branch)) for row in drawn]
    forecasts = _forecasts(run, subject, places, drawn)
    plan = Plan(forecasts, run.manifest["settings"]["gains"], sealed=True)
    committed = measure_committed(run, measure, plan, baseline)
    return finished(run, subject, places, committed)


def _forecasts(
    run: Run, subject: Subject, places: Sequence[Coordinate], drawn: Sequence[ChanceRow]
) -> list[Forecast]:
    """Both edges of every branch beside its chance, and the ceiling that the design tests."""
    with run.clock.step("forecast", 2 * len(places)) as bar:
        edges = forecast(subject, places, run.manifest["settings"]["gains"], bar)
        others = sampled_surprise(subject.ground, places)
        bar.advance(len(places))
    return [
        edge._replace(
            chance=Chance(row.under, row.open, row.over), weight=row.weight, beside=(other,)
        )
        for edge, row, other in zip(edges, drawn, others, strict=True)
    ]


def case_of(folder: Path, member: LineageModel, pool: ModelChances) -> MeasuredCase:
    """The rows of a case that is over, from its files alone."""
    audit = AuditResult.load(folder / RUN)
    stored = read_json(folder / RUN / COMMITMENT)
    committed = Commitment.model_validate(stored["content"])
    entries = {entry.branch: entry for entry in committed.branches}
    protocol = _protocol(member, audit)
    rows = tuple(
        verdict_row(
            protocol,
            audit.model.layers,
            entries[branch.name].weight or 1.0,
            branch,
            {each.method: each.gain for each in entries[branch.name].beside},
        )
        for branch in audit.neurons
    )
    chanced = {row.branch: row for row in pool.rows}
    ends = tuple(
        chanced[branch.name].model_copy(
            update={"end": end_of(branch), "weight": entries[branch.name].weight}
        )
        for branch in audit.neurons
    )
    return MeasuredCase(rows, pool.model_copy(update={"rows": ends}), protocol)


def end_of(branch: Branch) -> End:
    """How a measured branch ended: open, over where a prompt flips coherently, else under."""
    if branch.observed_open:
        return "open"
    return "over" if any(rung.flip_confirmation for rung in branch.curve) else "under"


def _protocol(member: LineageModel, audit: AuditResult) -> ProtocolRow:
    return ProtocolRow(
        lineage=member.lineage.name,
        recipe=member.lineage.recipe,
        model=audit.model.name,
        behavior=audit.behavior.name,
        reproduced=audit.summary.protocol_reproduced,
        baseline=audit.baseline.rate,
        leak=audit.baseline.leak,
        positive_control=audit.positive_control,
        commitment_sha256=audit.summary.commitment_sha256,
        log_odds_margin=audit.baseline.log_odds_margin or 0.0,
    )
