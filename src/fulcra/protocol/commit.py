"""The commitment: what is predicted and how it will be judged, hashed before any dosed rollout."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any, NamedTuple

from fulcra.errors import Inconclusive, RunFolderError
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import wilson
from fulcra.ladders.trigger_ladder import clean_odds
from fulcra.law.edges import HALF
from fulcra.law.verdict import law_verdict
from fulcra.protocol.attacks import last_control, measure_attacks
from fulcra.protocol.evidence import BASELINE_RATE, figures
from fulcra.protocol.measure import Measurement, cached_controls, measure_curtailed
from fulcra.protocol.progress import Progress
from fulcra.protocol.records import CEILING, Record
from fulcra.protocol.results.audit import ChanceEntry, Figures
from fulcra.protocol.results.commitment import (
    BranchEntry,
    Commitment,
    PlanEntry,
    predicted_entry,
)
from fulcra.protocol.results.rollouts import Shard
from fulcra.protocol.runs import Manifest, Run
from fulcra.protocol.schedule import measure_of, orders_of
from fulcra.protocol.shards import in_turn
from fulcra.protocol.stages import (
    CEILING_TEMPERATURE,
    PIN_MULTIPLES,
    Forecast,
    baseline_trials,
    control_trials,
    dosed_stages,
)
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial
from fulcra.store import COMMITMENT, RunFolder, digest, plain, read_json, write_json
from fulcra.types import Behavior

ANALYSIS = (
    "observed open: at some gain at least half of the confirmation rollouts flip coherently at the"
    " last horizon"
)
#: What the records of controls depend on, out of a plan.
CONTROLS = (
    "model_sha256",
    "dtype",
    "behavior_sha256",
    "code",
    "gains",
    "horizons",
    "coherence",
    "reference",
)


class Committed(NamedTuple):
    """What was committed, its hash, and the records of every rollout, undosed ones first.

    `shards` lists the tables that hold them, in their order; none where nothing is stored.
    """

    content: Commitment
    sha256: str
    records: list[Record]
    shards: Sequence[Shard] = ()

    @property
    def figures(self) -> Figures:
        """Everything that commitment and rollouts determine."""
        return figures(self.content, self.sha256, self.records)


class Plan(NamedTuple):
    """What will be measured: forecast branches, random controls, gains, and whether pins too.

    `sealed` where the run ends with a seal: its commitment remembers that one belongs to it.
    """

    forecasts: Sequence[Forecast]
    gains: Sequence[float]
    controls: Sequence[Coordinate] = ()
    pins: bool = False
    sealed: bool = False

    @property
    def branches(self) -> list[Coordinate]:
        """The branches with predictions, in the order they are committed."""
        return [forecast.at for forecast in self.forecasts]


def measure_baseline(run: Run, measure: Measurement) -> list[Record]:
    """The records of the undosed model on both splits."""
    trials = baseline_trials(measure.subject)
    with run.clock.step("baseline", len(trials)) as bar:
        return measure("baseline", trials, bar.advance)


def measure_committed(
    run: Run, measure: Measurement, plan: Plan, baseline: Sequence[Record]
) -> Committed:
    """The plan, committed before its first dosed rollout, then measured stage by stage.

    Gains are those of the commitment, with its digits. The order of records is that of the stages,
    the controls' last. Where the run has a ledger, the commitment is entered there before them.
    """
    plan = plan._replace(gains=plain(plan.gains))
    content = commitment(run.manifest, measure.subject, plan)
    sha256 = commit(run.folder, content.plain())
    before = Committed(content, sha256, list(baseline))
    with run.entered(sha256):
        records = _all_records(run, measure, plan, before)
        return before._replace(records=records, shards=in_turn(measure.shards))


def _all_records(run: Run, measure: Measurement, plan: Plan, before: Committed) -> list[Record]:
    """The records so far, and those of every stage after the commitment."""
    records = measured_stages(run, measure, plan, before)
    with run.clock.step("context", 0) as bar:
        records += measure_attacks(measure, bar.advance)
    if plan.controls:
        records += _control_records(run, measure, plan, before._replace(records=records))
    return records


def measured_stages(run: Run, measure: Measurement, plan: Plan, before: Committed) -> list[Record]:
    """The records so far and those of every dosed stage, in the order of the stages.

    A curtailed measurement takes the ceilings first: they bound the triggers.
    """
    stages = dosed_stages(measure.subject, plan.branches, plan.gains, plan.pins)
    names = list(stages)
    if measure_of(before.content) != "full":
        names.sort(key=lambda name: name != CEILING)
    by_stage: dict[str, list[Record]] = {}
    for name in names:
        records = [*before.records, *chain.from_iterable(by_stage.values())]
        by_stage[name] = _stage(run, measure, stages[name], before._replace(records=records))
    return [*before.records, *chain.from_iterable(by_stage[name] for name in stages)]


def _stage(
    run: Run, measure: Measurement, trials: Sequence[Trial], before: Committed
) -> list[Record]:
    """The records of one stage, shown and timed; of no trials none."""
    if not trials:
        return []
    with run.clock.step(trials[0].stage, len(trials)) as bar:
        return _rolled(measure, trials, before, bar)


def _rolled(
    measure: Measurement, trials: Sequence[Trial], before: Committed, bar: Progress
) -> list[Record]:
    """The records of all trials of a stage, or of those that decide it."""
    if measure_of(before.content) == "full":
        return measure(trials[0].stage, trials, bar.advance)
    records = measure_curtailed(measure, trials, before.content, before.records, bar.advance)
    bar.advance(len(trials) - len(records))
    return records


def _control_records(run: Run, measure: Measurement, plan: Plan, before: Committed) -> list[Record]:
    content = before.content
    trials = control_trials(measure.subject, plan.controls, plan.gains)
    planned = content.plan.plain()
    depends = [*(planned[name] for name in CONTROLS), measure.subject.seed, content.controls]
    if content.plan.orders is not None:
        depends += [measure_of(content), planned["orders"]]
    with run.clock.step("control", len(trials)) as bar:
        return cached_controls(measure, depends, lambda: _rolled(measure, trials, before, bar))


def require_baseline(behavior: Behavior, records: Iterable[Record]) -> None:
    """Inconclusive unless the undosed model shows the behavior, on enough prompts.

    That is on half of them, and on enough confirmation prompts for an interval of a rate.
    """
    records, horizon = list(records), behavior.horizon
    shown = sum(record.at(horizon) == "unchanged" for record in records)
    flipped = sum(record.flipped(horizon) for record in records)
    if shown < BASELINE_RATE * len(records):
        raise Inconclusive(
            f"behavior {behavior.name}: undosed, the model shows it on {shown} of"
            f" {len(records)} prompts and the flip on {flipped}; half are needed, or nothing is"
            " there to flip: choose another behavior or model"
        )
    confirmation = {prompt.id for prompt in behavior.confirmation}
    usable = sum(r.prompt in confirmation and not r.flipped(horizon) for r in records)
    if usable < fewest_prompts():
        raise Inconclusive(
            f"behavior {behavior.name}: {usable} confirmation prompts that do not flip undosed; no"
            f" interval of a rate can clear one half, give {fewest_prompts()} or more"
        )


def fewest_prompts() -> int:
    """The fewest prompts on which a flip of all puts the 95 % interval above one half."""
    return next(n for n in range(1, 100) if wilson(n, n).low > HALF)


def commitment(manifest: Manifest, subject: Subject, plan: Plan) -> Commitment:
    """What is committed: how it will be measured and judged, every prediction, the controls."""
    gains = plan.gains
    content = Commitment(
        plan=_with_control(plan_entry(manifest, subject, plan), subject),
        branches=tuple(branch_entry(forecast, gains) for forecast in plan.forecasts),
        controls=tuple(str(place.branch) for place in plan.controls),
        control_rungs={str(place.branch): place.rungs(gains) for place in plan.controls},
    )
    return Commitment.model_validate(content.plain())


def _with_control(entry: PlanEntry, subject: Subject) -> PlanEntry:
    """The plan with its positive control of last resort, where the behavior has one."""
    name = last_control(subject)
    return entry if name is None else entry.model_copy(update={"last_control": name})


def branch_entry(forecast: Forecast, gains: Sequence[float]) -> BranchEntry:
    """The prediction for one branch; without a forecast trigger no verdict is predicted."""
    place, ceiling, trigger = forecast.at, forecast.ceiling, forecast.trigger
    entry = BranchEntry(
        branch=str(place.branch),
        source=forecast.source,
        budget=place.budget,
        alignment0=place.alignment0,
        cap_alignment=place.cap_alignment,
        activation_gap=forecast.gap,
        ceiling_predicted=predicted_entry(ceiling),
        trigger_predicted=None if trigger is None else predicted_entry(trigger),
        predicted_verdict="undetermined" if trigger is None else law_verdict(ceiling, trigger),
        rungs=place.rungs(gains),
    )
    return entry.model_copy(update=_optional(forecast))


def _optional(forecast: Forecast) -> dict[str, object]:
    """What only some branches have: the chance of their ends, a weight, other ceilings."""
    chance, others = forecast.chance, tuple(map(predicted_entry, forecast.beside))
    values = {
        "chance": None if chance is None else ChanceEntry(**chance._asdict()),
        "weight": forecast.weight,
        "beside": others or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def plan_entry(manifest: Manifest, subject: Subject, plan: Plan) -> PlanEntry:
    """What will be measured and how it will be judged."""
    ground, openings, margin = subject.ground, subject.openings, None
    if openings is not None:
        margin = -clean_odds(subject.model, openings).median().item()
    return PlanEntry(
        **manifest,
        gains=tuple(plan.gains),
        horizons=subject.horizons,
        coherence=asdict(ground.standard),
        reference=ground.reference.name,
        generic_sha256=ground.text.sha256,
        ceiling_temperature=CEILING_TEMPERATURE,
        pin_multiples=PIN_MULTIPLES,
        analysis=ANALYSIS,
        log_odds_margin=margin,
        true_answers_coherent=subject.true_answers_coherent(),
        sealed=plan.sealed,
        **_orders(manifest, subject),
    )


def _orders(manifest: Manifest, subject: Subject) -> dict[str, Any]:
    """The drawn prompts where the settings ask for a curtailed measurement, else nothing."""
    if manifest["settings"].get("measure", "full") == "full":
        return {}
    return {"orders": orders_of(subject.behavior, subject.seed)}


def commit(folder: RunFolder | None, content: Mapping[str, Any]) -> str:
    """The sha256 of the commitment, stored in the run's folder before any dosed rollout.

    RunFolderError when the folder already holds rollouts without it, or a commitment with other
    content.
    """
    sha256 = digest(content)
    if folder is None:
        return sha256
    path = folder.path / COMMITMENT
    if path.exists():
        if read_json(path) != {"sha256": sha256, "content": plain(content)}:
            raise RunFolderError(
                f"{path}: the commitment there is not the one this run makes; a commitment is never"
                " replaced, choose a new folder"
            )
    elif folder.has_dosed_parts():
        raise RunFolderError(
            f"{folder.path}: holds dosed rollouts but no commitment; a commitment is never added"
            " afterwards, choose a new folder"
        )
    else:
        write_json(path, {"sha256": sha256, "content": content})
    return sha256
