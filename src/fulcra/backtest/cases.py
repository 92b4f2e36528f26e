"""One case of a registered study: a pool forecast, branches drawn by chance, an audit of them.

The audit's folder is sealed like any other, so `fulcra verify` reads it, and the rows of the study
are made from files alone.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fulcra.backtest.chance_curves import Pool, random_branches
from fulcra.backtest.chances import pool_chances
from fulcra.backtest.split import LineageModel
from fulcra.backtest.verdict_scores import TRIGGER_ALONE
from fulcra.backtest.windows import verdict_row
from fulcra.behaviors import load_behavior
from fulcra.behaviors.splits import widened
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.inclusion import inclusion_probabilities, systematic_sample
from fulcra.protocol.chances import Chance, look_of
from fulcra.protocol.commit import Plan, measure_baseline, measure_committed, require_baseline
from fulcra.protocol.finish import finished, reopened
from fulcra.protocol.measure import Measurement
from fulcra.protocol.predictors import sampled_surprise
from fulcra.protocol.progress import Clock
from fulcra.protocol.results.audit import AuditResult, Branch
from fulcra.protocol.results.chances import ChanceRow, ChanceSettings, End, ModelChances
from fulcra.protocol.results.commitment import Commitment
from fulcra.protocol.results.design import Design, DesignSize
from fulcra.protocol.results.split import Lineage
from fulcra.protocol.results.validation import ProtocolRow, VerdictRow
from fulcra.protocol.runs import Run, manifest_of
from fulcra.protocol.source import remember
from fulcra.protocol.stages import Forecast, forecast
from fulcra.protocol.subject import Subject, in_tokens_of
from fulcra.store import COMMITMENT, digest, read_json, write_json
from fulcra.types import Behavior, Neuron

#: Where the pool and the audit of a case are, in its folder, and the ceilings in that of a model.
POOL, RUN, CEILINGS = "pool", "audit", "ceilings"
#: What stands in the folder of a lineage whose rows are all kept: what was left out, and why.
OVER = "over.json"
#: The pool of a case: its chances, from which the drawn branches can be drawn again.
POOL_FILE = "pool.json"
#: Selection prompts that chances are forecast from: as many as their noise was learned with.
FORECAST_FROM = 8
#: Log2 of gains: what a branch without a measured trigger is ranked by, below any that has one.
NO_TRIGGER = -10.0


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
        "pool": digest(pool.plain()),
    }
    manifest = manifest_of("study", member.model, behavior, settings)
    run = Run.open(manifest, place.folder / RUN, clock, place.ledger)
    if reopened(run) is None:
        _measure(run, member, behavior, drawn_by_chance(pool, size))
    return case_of(place.folder, member.lineage)


def _pool(
    member: LineageModel, behavior: Behavior, size: DesignSize, place: Path, clock: Clock
) -> ModelChances:
    """The chances of random branches by the frozen noise; nothing of them is measured.

    Every model and behavior has branches of its own, and rungs and look are those of the case. They
    are forecast from few selection prompts, which cost a quarter of all.
    """
    model = member.model
    settings = ChanceSettings(others=size.pool, seed=size.seed)
    chosen = settings.plain() | {"gains": size.gains, "measure": size.measure}
    run = Run.open(manifest_of("study pool", model, behavior, chosen), place, clock)
    if not (place / POOL_FILE).is_file():
        rng = random.Random(f"pool-{size.seed}-{model.name}-{behavior.name}")
        few = replace(behavior, selection=behavior.selection[:FORECAST_FROM])
        subject = Subject.of(model, few, size.seed, member.reference)
        drawn = random_branches(subject, size.pool, rng, size.gains[0])
        look = look_of(len(behavior.confirmation), size.measure)
        pool = pool_chances(run, subject, Pool(drawn, size.gains, look), settings)
        write_json(place / POOL_FILE, pool.plain())
    return read_pool(place)


def read_pool(place: Path) -> ModelChances:
    """The chances of a case's pool; RunFolderError where they are not there."""
    return ModelChances.model_validate(read_json(place / POOL_FILE))


def drawn_by_chance(pool: ModelChances, size: DesignSize) -> list[ChanceRow]:
    """The branches of a pool that are measured, each with the number of them it stands for.

    Drawn in proportion to chance + floor, so that much of what opens is drawn and nothing is left
    without a chance to be.
    """
    rows, case = pool.rows, f"{pool.model.name} {pool.behavior.name}"
    inclusion = inclusion_probabilities([row.open + size.floor for row in rows], size.branches)
    return [
        rows[i].model_copy(update={"weight": float(1 / inclusion[i])})
        for i in systematic_sample(inclusion, [size.seed, *case.encode()])
    ]


def _measure(
    run: Run, member: LineageModel, behavior: Behavior, drawn: Sequence[ChanceRow]
) -> AuditResult:
    """The drawn branches, forecast, committed and measured without pins and controls."""
    assert run.folder is not None  # a study is always kept
    remember(run.folder.path, member.model, behavior)
    with run.clock.step(f"{member.model.name} {behavior.name} ground", 0):
        seed = run.manifest["settings"]["seed"]
        subject = Subject.of(member.model, behavior, seed, member.reference)
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


def case_of(folder: Path, lineage: Lineage) -> MeasuredCase:
    """The rows of a case that is over, from its files alone."""
    audit, pool = AuditResult.load(folder / RUN), read_pool(folder / POOL)
    stored = read_json(folder / RUN / COMMITMENT)
    committed = Commitment.model_validate(stored["content"])
    entries = {entry.branch: entry for entry in committed.branches}
    protocol = _protocol(lineage, audit)
    rows = tuple(
        _ranked(
            verdict_row(
                protocol,
                audit.model.layers,
                entries[branch.name].weight or 1.0,
                branch,
                {each.method: each.gain for each in entries[branch.name].beside},
            )
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


def _ranked(row: VerdictRow) -> VerdictRow:
    """The row with the margins that the design ranks by, that of the trigger alone among them.

    A branch whose trigger was not reached is below all others, whatever its ceiling.
    """
    trigger = row.trigger_measured
    if trigger is None:
        margins = {"L2": NO_TRIGGER, "L3": NO_TRIGGER, TRIGGER_ALONE: NO_TRIGGER}
    else:
        margins = {TRIGGER_ALONE: -math.log2(trigger)}
    return row.model_copy(update={"margins": row.margins | margins})


def end_of(branch: Branch) -> End:
    """How a measured branch ended: open, over where a prompt flips coherently, else under."""
    if branch.observed_open:
        return "open"
    return "over" if any(rung.flip_confirmation for rung in branch.curve) else "under"


def _protocol(lineage: Lineage, audit: AuditResult) -> ProtocolRow:
    return ProtocolRow(
        lineage=lineage.name,
        recipe=lineage.recipe,
        model=audit.model.name,
        behavior=audit.behavior.name,
        reproduced=audit.summary.protocol_reproduced,
        baseline=audit.baseline.rate,
        leak=audit.baseline.leak,
        positive_control=audit.positive_control,
        commitment_sha256=audit.summary.commitment_sha256,
        log_odds_margin=audit.baseline.log_odds_margin or 0.0,
    )
