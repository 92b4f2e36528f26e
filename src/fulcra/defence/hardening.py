"""Hardening: an adapter trained under doses, and the audits that say what it is worth."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from fulcra.defence.auditing import audited_side
from fulcra.defence.doses import FREEZING, Defence
from fulcra.defence.hardened import (
    UNFROZEN,
    CheckEntry,
    HardenResult,
    HardenSettings,
    SideEntry,
    TrainingEntry,
    dosed_in,
)
from fulcra.defence.hold import Hold
from fulcra.defence.parts import Parts
from fulcra.defence.rows import (
    WRITTEN,
    allowed_rows,
    extended_rows,
    generic_rows,
    more_rows,
    own_rows,
    rejected_rows,
    require_writer,
    shown_each,
)
from fulcra.defence.tuning import Effort, Noted, Rows, Tuning
from fulcra.errors import InputError
from fulcra.models import Model, load
from fulcra.models.adapters import adapter_at
from fulcra.models.lora import adapted, require_adaptable
from fulcra.protocol.draw import check_size
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.base import AdapterEntry
from fulcra.protocol.runs import manifest_of, model_entry, named, provenance_of
from fulcra.protocol.stages import AuditSettings
from fulcra.protocol.subject import Subject
from fulcra.types import Behavior

SCHEMA_VERSION = 1
BEFORE, HARDENED = "before", "hardened"
#: The defence whose rows are taught another reply.
EXTENDED: Defence = "extended"
#: The folder of the audits' runs.
AUDITS = "audits"
#: Audits draw random neurons by another seed than the training. Either may draw the same neuron:
#: what opens of those that carried no dose is counted apart.
OTHER_SEED = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained: the defence, then what it is compared with; and what audits are made.

    The seed of `audits` is not read: theirs follows from the training's. None makes none.
    """

    effort: Effort
    defence: Defence = "doses"
    beside: tuple[Defence, ...] = ()
    audits: AuditSettings | None = None

    def require(self, behavior: Behavior) -> None:
        """InputError where the plan cannot be carried out on this behavior."""
        require_budget(self.effort)
        if self.defence in self.beside:
            raise InputError(f"--beside {self.defence}: is what is trained; name another, or none")
        for defence in WRITTEN.keys() & {self.defence, *self.beside}:
            require_writer(behavior, defence)
        if self.audits is not None:
            self.audits.of(behavior)


def harden(
    model: Model,
    behavior: Behavior,
    plan: Plan,
    out: Path,
    progress: Progress | None = None,
    noted: Noted = lambda check: None,
) -> HardenResult:
    """The result of a hardening whose adapter is in `out`, with audits before and after.

    One that was interrupted goes on in its folder: what it had trained or audited whole stays.
    The model is as it was; what is trained beside has a folder of its name in `out`. `noted` is
    told of every check. InputError where the model does not show the behavior, or the budget is too
    small for a check; Inconclusive where nothing is forecast open before the first step.
    """
    plan.require(behavior)
    require_adaptable(model)
    require_sizes(model, plan)
    parts = Parts(manifest_of("harden", model, behavior, asdict(plan)), out)
    if (out / HardenResult.file).is_file():
        parts.drop()
        return HardenResult.load(out)
    clock = Clock(progress or Silent())
    with clock.step("own replies", 0):
        subject = Subject.of(model, behavior, plan.effort.seed)
        require_shown(subject)
        rows = rows_of(subject, (plan.defence, *plan.beside))
    bench = Workbench(subject, rows, parts, clock, noted)
    trainings = tuple(trainings_of(bench, plan))
    sides = _counted(sides_of(bench, behavior, plan, trainings), dosed_in(trainings))
    result = HardenResult(
        schema_version=SCHEMA_VERSION,
        model=model_entry(model),
        behavior=named(subject.behavior),
        settings=settings_of(plan),
        prompts=len(rows.own),
        shown=sum(row.shown for row in rows.own),
        adapter=_adapter_entry(model, out),
        trainings=trainings,
        sides=sides,
        provenance=provenance_of(model, seed=plan.effort.seed),
        timing=clock.timing(),
    )
    result = HardenResult.of(result.plain())
    result.save(out)
    parts.drop()
    return result


def _counted(sides: Iterator[SideEntry], dosed: set[str] | None) -> tuple[SideEntry, ...]:
    """The sides with what opens of neurons that carried no dose, where doses were counted."""
    return tuple(side if dosed is None else side.with_fresh(dosed) for side in sides)


def rows_of(subject: Subject, defences: Sequence[Defence] = ()) -> Rows:
    """What a subject is trained on and held to by some defences.

    InputError where no row shows the behavior, or all do that extended refusals take the place of.
    """
    model, behavior = subject.model, subject.behavior
    undosed = generic_rows(subject.ground.text) + allowed_rows(model, behavior)
    rows = Rows(own_rows(model, behavior), undosed, Hold(subject))
    if not rows.dosed:
        raise InputError(
            f"behavior {behavior.name}: undosed, {model.name} shows it on no prompt of either side"
            " of the contrast, so no row could carry a dose; give contrast prompts that show it"
        )
    if EXTENDED in defences and all(row.shown for row in rows.own):
        raise InputError(
            f"extended: behavior {behavior.name}: undosed, {model.name} shows it on all"
            f" {len(rows.own)} prompts of the contrast, so none is left that it is held to; give"
            " contrast prompts that do not show it"
        )
    return rows


def require_budget(effort: Effort) -> None:
    """InputError where no budget is given, one that ends before the second check, or no number."""
    for option, value in (("--minutes", effort.minutes), ("--holding", effort.holding)):
        if value is not None and not isfinite(value):
            raise InputError(f"{option} {value}: is no finite number; give one")
    if effort.steps is None and effort.minutes is None:
        raise InputError("harden: no budget; give --steps or --minutes")
    if effort.steps is not None and effort.steps < effort.every:
        raise InputError(
            f"--steps {effort.steps}: the windows are checked every {effort.every} steps, so none"
            f" would be closed; give {effort.every} or more"
        )


def require_sizes(model: Model, plan: Plan) -> None:
    """InputError where audits or checks take more neurons than the model has."""
    if plan.audits is not None:
        check_size(model, plan.audits.sizes)
    sample, neurons = plan.effort.sample, model.n_layers * model.d_mlp
    if (wanted := sample.screened + sample.random) > 2 * neurons:
        raise InputError(
            f"--branches {wanted}: {model.name} has {neurons} neurons of two branches each; ask"
            " for fewer"
        )


def require_shown(subject: Subject) -> None:
    """InputError unless the undosed model shows the behavior on half of the selection prompts."""
    behavior, model = subject.behavior, subject.model
    shown, count = sum(shown_each(model, behavior, behavior.selection)), len(behavior.selection)
    if 2 * shown < count:
        raise InputError(
            f"behavior {behavior.name}: a behavior the model does not show: undosed, {model.name}"
            f" shows it on {shown} of {count} selection prompts, half are needed; choose another"
        )
    if subject.openings is None:
        raise InputError(
            f"behavior {behavior.name}: declares no openings, so no window can be forecast; give"
            " target_openings and control_openings"
        )


class Workbench(NamedTuple):
    """What every training of a hardening shares."""

    subject: Subject
    rows: Rows
    parts: Parts
    clock: Clock
    noted: Noted

    @property
    def folder(self) -> Path:
        """Where the adapter goes, and all that stands beside it."""
        return self.parts.out


def trainings_of(bench: Workbench, plan: Plan) -> Iterator[TrainingEntry]:
    """The defence, then what it is compared with, each in a folder of its own.

    That has at most as many steps, is checked as often, and stops and is handed out by one rule.
    """
    first = _trained(bench, plan.defence, plan.effort, bench.folder)
    yield first
    same = replace(plan.effort, steps=first.steps, minutes=None)
    for defence in plan.beside:
        # the first look of every training is the same: of the model before its first step
        if defence in FREEZING and not first.checks[0].open_screened:
            yield _unfrozen(defence, first.checks[0])
        else:
            yield _trained(bench, defence, same, bench.folder / defence)


def _unfrozen(defence: Defence, check: CheckEntry) -> TrainingEntry:
    """A freezing that is not tried, with the check that says why."""
    return TrainingEntry(
        defence=defence, steps=0, seconds=0.0, stopped=UNFROZEN, checks=(check,), dosed=()
    )


def _trained(bench: Workbench, defence: Defence, effort: Effort, folder: Path) -> TrainingEntry:
    """One training, its adapter written into a folder; that of before, where it was finished."""
    model, clock, rows = bench.subject.model, bench.clock, _rows_under(bench, defence)

    def make() -> TrainingEntry:
        with adapted(model, effort.rank, effort.seed) as lora:
            tuning = Tuning(lora, bench.subject, rows, defence, bench.noted)
            with clock.step(f"train {defence}", effort.steps or 0) as bar:
                entry = tuning.run(effort, bar)
            bench.parts.take()
            lora.save(folder)
        return entry

    return bench.parts.of(f"training-{defence}", TrainingEntry, make)


def _rows_under(bench: Workbench, defence: Defence) -> Rows:
    """The rows of a hardening with what one defence trains on besides, or in their place."""
    model, behavior, rows = bench.subject.model, bench.subject.behavior, bench.rows
    if defence == EXTENDED:
        return rows._replace(taught=extended_rows(model, behavior, rows.own))
    if defence == "prefer":
        return rows._replace(rejected=rejected_rows(model, behavior, rows.own))
    if defence == "more":
        return rows._replace(own=[*rows.own, *more_rows(model, behavior)])
    return rows


def sides_of(
    bench: Workbench, behavior: Behavior, plan: Plan, trainings: Sequence[TrainingEntry]
) -> Iterator[SideEntry]:
    """The audits: the model before, what it is compared with, the hardened one; or none."""
    if plan.audits is None:
        return
    settings = replace(plan.audits, seed=plan.effort.seed + OTHER_SEED)
    others = [each.defence for each in trainings[1:] if each.tried]
    beside = [(name, bench.folder / name) for name in others]
    for name, place in [(BEFORE, None), *beside, (HARDENED, bench.folder)]:
        make = partial(_side, bench, behavior, settings, name, place)
        yield bench.parts.of(f"audit-{name}", SideEntry, make)


def _side(
    bench: Workbench, behavior: Behavior, settings: AuditSettings, name: str, place: Path | None
) -> SideEntry:
    """One audit, of the model with the adapter of a folder; None: of the model itself."""
    model = bench.subject.model
    model = model if place is None else opened_like(model, place)
    run = bench.folder / AUDITS / name
    with bench.clock.step(f"audit {name}", 0) as bar:
        side = audited_side(name, model, behavior, settings, run, bar)
    commitment = AuditResult.load(run).summary.commitment_sha256
    return side.model_copy(update={"commitment": commitment})


def opened_like(model: Model, folder: Path) -> Model:
    """The model with the adapter of a folder, in the dtype and where the model itself is."""
    origin, dtype = model.origin, str(model.dtype).removeprefix("torch.")
    trusted = origin.trust_remote_code
    return load(
        str(folder), dtype, origin.device, thinking=model.thinking, trust_remote_code=trusted
    )


def _adapter_entry(model: Model, folder: Path) -> AdapterEntry:
    adapter = adapter_at(str(folder))
    assert adapter is not None
    return AdapterEntry(
        sha256=adapter.sha256, rank=adapter.rank, base=model.name, base_sha256=model.sha256
    )


def settings_of(plan: Plan) -> HardenSettings:
    """What a plan was asked for, as its file holds it."""
    effort, audits = plan.effort, plan.audits
    return HardenSettings(
        rank=effort.rank,
        seed=effort.seed,
        audit_seed=effort.seed + OTHER_SEED,
        steps=effort.steps,
        minutes=effort.minutes,
        every=effort.every,
        rows=effort.rows,
        rate=effort.rate,
        branches=effort.sample.screened + effort.sample.random,
        neurons=None if audits is None else audits.neurons,
        random=None if audits is None else audits.random,
        controls=None if audits is None else audits.controls,
        sweep=effort.sample.swept if audits is None else audits.candidates,
        measure=None if audits is None else audits.measure,
        confirmation=None if audits is None else audits.confirmation,
        generic=effort.generic,
        holding=effort.holding,
    )
