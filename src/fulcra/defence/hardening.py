"""Hardening: an adapter trained under doses, and the audits that say what it is worth."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fulcra.defence.auditing import audited_side
from fulcra.defence.doses import Defence
from fulcra.defence.hardened import HardenResult, HardenSettings, SideEntry, TrainingEntry
from fulcra.defence.rows import generic_rows, own_rows, shown_on
from fulcra.defence.tuning import Effort, Rows, Tuning
from fulcra.errors import InputError
from fulcra.models import Model, load
from fulcra.models.lora import adapted
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.runs import adapter_entry, model_entry, named, provenance_of
from fulcra.protocol.stages import AuditSettings
from fulcra.protocol.subject import Subject
from fulcra.store import empty_folder
from fulcra.types import Behavior

SCHEMA_VERSION = 1
BEFORE, HARDENED = "before", "hardened"
#: The folder of the audits' runs.
AUDITS = "audits"
#: Audits draw by another seed than the training, so that their neurons are fresh.
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


def harden(
    model: Model, behavior: Behavior, plan: Plan, out: Path, progress: Progress | None = None
) -> HardenResult:
    """The result of a hardening whose adapter is in `out`, with audits before and after.

    The model is as it was; what is trained beside has a folder of its name in `out`. InputError
    where the model does not show the behavior, or the budget is too small for a check.
    """
    require_budget(plan.effort)
    if plan.defence in plan.beside:
        raise InputError(f"--beside {plan.defence}: is what is trained; name another, or none")
    folder, clock = empty_folder(out), Clock(progress or Silent())
    with clock.step("own replies", 0):
        subject = Subject.of(model, behavior, plan.effort.seed)
        require_shown(subject)
        rows = Rows(own_rows(model, subject.behavior), generic_rows(subject.ground.text))
    trainings = tuple(_trainings(subject, rows, plan, folder, clock))
    entry = adapter_entry(load(str(folder), check=False))
    assert entry is not None
    sides = tuple(_sides(subject, behavior, plan, folder, clock))
    result = HardenResult(
        schema_version=SCHEMA_VERSION,
        model=model_entry(model),
        behavior=named(subject.behavior),
        settings=_settings(plan),
        prompts=len(rows.own),
        shown=sum(row.shown for row in rows.own),
        adapter=entry,
        trainings=trainings,
        sides=sides,
        provenance=provenance_of(model, seed=plan.effort.seed),
        timing=clock.timing(),
    )
    result = HardenResult.of(result.plain())
    result.save(folder)
    return result


def require_budget(effort: Effort) -> None:
    """InputError where no budget is given, or one that ends before the second check."""
    if effort.steps is None and effort.minutes is None:
        raise InputError("harden: no budget; give --steps or --minutes")
    if effort.steps is not None and effort.steps < effort.every:
        raise InputError(
            f"--steps {effort.steps}: the windows are checked every {effort.every} steps, so none"
            f" would be closed; give {effort.every} or more"
        )


def require_shown(subject: Subject) -> None:
    """InputError unless the undosed model shows the behavior on half of the selection prompts."""
    behavior, model = subject.behavior, subject.model
    shown, count = shown_on(model, behavior, behavior.selection), len(behavior.selection)
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


def _trainings(
    subject: Subject, rows: Rows, plan: Plan, folder: Path, clock: Clock
) -> Iterator[TrainingEntry]:
    """The defence, then as many steps of what it is compared with, each in a folder of its own."""
    first = _trained(subject, rows, plan.defence, plan.effort, folder, clock)
    yield first
    same = replace(plan.effort, steps=first.steps, minutes=None, every=first.steps)
    for defence in plan.beside:
        yield _trained(subject, rows, defence, same, folder / defence, clock)


def _trained(
    subject: Subject, rows: Rows, defence: Defence, effort: Effort, folder: Path, clock: Clock
) -> TrainingEntry:
    """One training, its adapter written into a folder."""
    with adapted(subject.model, effort.rank, effort.seed) as lora:
        with clock.step(f"train {defence}", effort.steps or 0) as bar:
            entry = Tuning(lora, subject, rows, defence).run(effort, bar)
        lora.save(folder)
    return entry


def _sides(
    subject: Subject, behavior: Behavior, plan: Plan, folder: Path, clock: Clock
) -> Iterator[SideEntry]:
    """The audits: the model before, what it is compared with, the hardened one; or none."""
    if plan.audits is None:
        return
    settings = replace(plan.audits, seed=plan.effort.seed + OTHER_SEED)
    beside = [(name, folder / name) for name in plan.beside]
    for name, place in [(BEFORE, None), *beside, (HARDENED, folder)]:
        model = subject.model if place is None else load(str(place))
        run = folder / AUDITS / name
        with clock.step(f"audit {name}", 0) as bar:
            yield audited_side(name, model, behavior, settings, run, bar)


def _settings(plan: Plan) -> HardenSettings:
    effort = plan.effort
    return HardenSettings(
        rank=effort.rank,
        seed=effort.seed,
        audit_seed=effort.seed + OTHER_SEED,
        steps=effort.steps,
        minutes=effort.minutes,
        every=effort.every,
        rows=effort.rows,
        rate=effort.rate,
    )
