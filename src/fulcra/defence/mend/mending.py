"""Mending: changes of one neuron tried from an audit, the smallest that mends handed out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fulcra.defence.auditing import audited_side, side_of
from fulcra.defence.hardened import SideEntry
from fulcra.defence.hardening import AUDITS, BEFORE, OTHER_SEED, opened_like
from fulcra.defence.mend.besides import Besides
from fulcra.defence.mend.changes import Change, activations_of, mean, spreads, zero
from fulcra.defence.mend.gates import Gate, gate_of, opened_in
from fulcra.defence.mend.mended import (
    HOWS,
    ChangeEntry,
    FitEntry,
    GateEntry,
    How,
    MendResult,
    MendSettings,
    OpenedEntry,
)
from fulcra.defence.mend.reach import SIGNS, Attacks
from fulcra.defence.mend.retraining import Lessons, retrained
from fulcra.defence.parts import Parts
from fulcra.defence.rows import allowed_rows, generic_rows, own_rows
from fulcra.defence.windows import subject_now
from fulcra.errors import InputError, ModelError
from fulcra.models import Model
from fulcra.models.adapters import adapter_at
from fulcra.models.lora import Lora, adapted, named, require_adaptable
from fulcra.models.neuron_rows import layer_rows, reading_modules
from fulcra.protocol.curtail import Measure
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.base import AdapterEntry
from fulcra.protocol.runs import manifest_of, model_entry, provenance_of
from fulcra.protocol.runs import named as named_entry
from fulcra.protocol.source import Sources, reopened_behaviors, reopened_model
from fulcra.protocol.stages import AuditSettings
from fulcra.protocol.subject import Subject
from fulcra.store import digest, require_run, write_bytes
from fulcra.types import Behavior

SCHEMA_VERSION = 1
MENDED = "mended"
#: Why a neuron's own weights are not trained where its ablation is what opens.
ABLATED = "ablated, a neuron writes nothing whatever its own weights are"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried at which neuron; by default the branch that opens at the smallest gain.

    `measure` is how the audit afterwards is measured: None makes none. Its settings are those of
    the run, its seed another, so that screen and random neurons are fresh.
    """

    neuron: str | None = None
    hows: tuple[How, ...] = HOWS
    steps: int = 60
    seed: int = 0
    measure: Measure | None = "full"


class Bench(NamedTuple):
    """What all changes of a mending share."""

    audit: AuditResult
    gate: Gate
    original: Subject
    lessons: Lessons
    attacks: Attacks
    besides: Besides
    parts: Parts
    clock: Clock

    @property
    def folder(self) -> Path:
        """Where the adapter goes, and all that stands beside it."""
        return self.parts.out


def mend(
    run: Path,
    plan: Plan,
    out: Path,
    sources: Sources = Sources(),
    progress: Progress | None = None,
) -> MendResult:
    """The result of a mending whose adapter is in `out`, where a change mends; saved either way.

    One that was interrupted goes on in its folder: changes that were tried stay, and an audit goes
    on where it was. The model is as it was. InputError where the run has nothing open, the neuron
    is none of its, or the model takes no adapter.
    """
    audit = AuditResult.load(run)
    require_run(out)
    gate = gate_of(run, audit, plan.neuron)
    model, behavior = reopened_model(run, sources), reopened_behaviors([run], sources.behaviors)[0]
    require_whole(run, model)
    if plan.hows == ("retrain",) and (reason := unoffered(model, gate)):
        raise InputError(f"--how retrain: {gate.neuron.site}: {reason}; take spread")
    audited = {"audited": digest(audit.plain())}
    parts = Parts(manifest_of("mend", model, behavior, asdict(plan), **audited), out)
    if (out / MendResult.file).is_file():
        parts.drop()
        return MendResult.load(out)
    clock = Clock(progress or Silent())
    with clock.step("original", 0):
        original = Subject.of(model, behavior, audit.settings.seed)
        bench = _bench(audit, gate, original, parts, clock)
    result = MendResult.of(_result(bench, behavior, plan).plain())
    result.save(out)
    parts.drop()
    return result


def require_whole(run: Path, model: Model) -> None:
    """Refuse the run of an adapter, whose base has no audit here: InputError.

    ModelError where no adapter can lie on the model.
    """
    if model.adapter is not None:
        raise InputError(
            f"{run}: its model {model.name} is an adapter already, and none is trained on another;"
            f" run `fulcra audit` on the model it lies on ({model.adapter.base_name}), and mend"
            " that run"
        )
    require_adaptable(model)


def _result(bench: Bench, behavior: Behavior, plan: Plan) -> MendResult:
    """What came of every change, the smallest that mends handed out and audited."""
    model, changes = bench.original.model, tuple(_tried(bench, plan))
    taken = smallest(changes)
    if taken is not None:
        _hand_out(bench, taken.how)
    sides = () if taken is None else tuple(_sides(bench, behavior, plan))
    return MendResult(
        schema_version=SCHEMA_VERSION,
        model=model_entry(model),
        behavior=named_entry(bench.original.behavior),
        audited=bench.audit.summary.commitment_sha256,
        gate=_gate_entry(bench),
        settings=_settings(bench.audit, plan),
        original=bench.besides.before,
        changes=changes,
        taken=None if taken is None else taken.how,
        adapter=None if taken is None else _adapter_entry(model, bench.folder),
        sides=sides,
        opened=_opened(bench.audit, bench.folder) if sides else (),
        provenance=provenance_of(model, seed=plan.seed),
        timing=bench.clock.timing(),
    )


def smallest(changes: Sequence[ChangeEntry]) -> ChangeEntry | None:
    """The smallest change that mends; None where none does."""
    mending = [change for change in changes if change.mends]
    return min(mending, key=lambda change: change.norm or 0.0, default=None)


def unoffered(model: Model, gate: Gate) -> str:
    """Why the neuron's own weights cannot be trained here; nothing where they can."""
    if gate.ablation_opens:
        return ABLATED
    if not gate.poles:
        return "no dose opens it, only values that it is held at"
    try:
        reading_modules(model, gate.neuron.layer)
    except ModelError as error:
        return str(error)
    return ""


def _bench(audit: AuditResult, gate: Gate, original: Subject, parts: Parts, clock: Clock) -> Bench:
    """The original measured undosed, and the texts that changes are fitted and trained on."""
    model, behavior = original.model, original.behavior
    other = generic_rows(original.ground.text) + allowed_rows(model, behavior)
    lessons = Lessons(own_rows(model, behavior), other)
    attacks = Attacks.of(original, gate, audit.settings.gains)
    return Bench(audit, gate, original, lessons, attacks, Besides(original), parts, clock)


def _tried(bench: Bench, plan: Plan) -> Iterator[ChangeEntry]:
    """Every change that was asked for, measured; or why it is not offered here."""
    for how in plan.hows:
        if how == "retrain" and (reason := unoffered(bench.original.model, bench.gate)):
            yield ChangeEntry(how=how, reason=f"not tried: {reason}")
            continue
        make = partial(_smallest, bench, plan, how)
        yield bench.parts.of(f"change-{how}", ChangeEntry, make)


def _smallest(bench: Bench, plan: Plan, how: How) -> ChangeEntry:
    """The first change of a kind that mends, its adapter kept; the last where none does."""
    entry = None
    with bench.clock.step(how, plan.steps if how == "retrain" else 0) as bar:
        for change in changes_of(bench, how, plan, bar):
            entry = _measured(bench, change, plan)
            if entry.mends:
                _keep(bench, change)
                break
    assert entry is not None
    return entry


def _keep(bench: Bench, change: Change) -> None:
    """Keep the adapter of a change until it is known which is the smallest."""
    bench.parts.take()
    with _changed(bench.original.model, change) as lora:
        lora.save(bench.parts.folder(change.how))


def _hand_out(bench: Bench, how: How) -> None:
    """Write the adapter of a change where the mending's is; what names its base comes last."""
    for path in sorted(bench.parts.folder(how).iterdir(), reverse=True):
        write_bytes(bench.folder / path.name, path.read_bytes())


def changes_of(bench: Bench, how: How, plan: Plan, bar: Progress) -> Iterator[Change]:
    """The changes of one kind, the smallest first; the model is as it was."""
    model, neuron = bench.original.model, bench.gate.neuron
    if how == "zero":
        yield zero(model, neuron)
        return
    if how == "retrain":
        yield retrained(bench.original, bench.gate, bench.lessons, plan.steps, plan.seed, bar)
        return
    rows = [*bench.lessons.own, *bench.lessons.other]
    activity = activations_of(model, neuron.layer, rows)
    if how == "spread":
        yield from spreads(model, neuron, activity)
        return
    text = bench.original.ground.text
    generic = [prompt + reply for prompt, reply in zip(text.prompts, text.replies, strict=True)]
    usual = float(layer_rows(model, neuron.layer, generic)[:, neuron.index].mean())
    yield mean(model, neuron, activity, usual)


@contextmanager
def _changed(model: Model, change: Change) -> Iterator[Lora]:
    """A block in which the model has a change as an adapter."""
    with adapted(model, 1, 0, named(list(change.factors))) as lora:
        lora.put(change.factors)
        yield lora


def _measured(bench: Bench, change: Change, plan: Plan) -> ChangeEntry:
    """A change with what it closes and what it costs."""
    with _changed(bench.original.model, change) as lora, lora.merged():
        now = subject_now(bench.original)
        reach, besides = bench.attacks.on(now), bench.besides(now)
    fit = None if change.fit is None else FitEntry(**change.fit._asdict())
    return ChangeEntry(
        how=change.how,
        norm=change.norm,
        fit=fit,
        steps=plan.steps if change.how == "retrain" else None,
        reach=reach,
        besides=besides,
        keeps=bench.besides.keeps(besides),
    )


def _sides(bench: Bench, behavior: Behavior, plan: Plan) -> Iterator[SideEntry]:
    """The run itself, and an audit of the mended model with other neurons; none if not asked."""
    if plan.measure is None:
        return
    before = partial(side_of, BEFORE, bench.audit, bench.original)
    yield bench.parts.of(f"audit-{BEFORE}", SideEntry, before)
    after = partial(_audited, bench, behavior, plan)
    yield bench.parts.of(f"audit-{MENDED}", SideEntry, after)


def _audited(bench: Bench, behavior: Behavior, plan: Plan) -> SideEntry:
    """The audit of the model with the adapter that is handed out."""
    mended = opened_like(bench.original.model, bench.folder)
    settings, place = audit_settings(bench.audit, plan), bench.folder / AUDITS / MENDED
    with bench.clock.step("audit mended", 0) as bar:
        return audited_side(MENDED, mended, behavior, settings, place, bar)


def _opened(audit: AuditResult, folder: Path) -> tuple[OpenedEntry, ...]:
    """What opens in the run, and in the audit of the mended model."""
    after = AuditResult.load(folder / AUDITS / MENDED)
    return opened_in(BEFORE, audit), opened_in(MENDED, after)


def audit_settings(audit: AuditResult, plan: Plan) -> AuditSettings:
    """The settings of the run, of another seed."""
    was = audit.settings
    sizes = AuditSettings(was.neurons, was.random, was.controls, plan.seed + OTHER_SEED, was.gains)
    return replace(
        sizes,
        measure=plan.measure or "full",
        candidates=was.candidates or sizes.candidates,
        prompts=was.prompts,
        horizon=was.horizon,
        confirmation=was.confirmation,
        screen="contrastive" if was.screen == "contrastive" else "window",
    )


def _gate_entry(bench: Bench) -> GateEntry:
    gate = bench.gate
    return GateEntry(
        neuron=gate.neuron.site,
        poles=tuple(SIGNS[pole] for pole in gate.poles),
        opens=gate.opens,
        held=gate.held,
        holds=gate.holds,
        direction=bench.attacks.without(bench.original),
    )


def _settings(audit: AuditResult, plan: Plan) -> MendSettings:
    return MendSettings(
        hows=plan.hows,
        steps=plan.steps,
        seed=plan.seed,
        audit_seed=plan.seed + OTHER_SEED,
        gains=audit.settings.gains,
        measure=plan.measure,
    )


def _adapter_entry(model: Model, folder: Path) -> AdapterEntry:
    adapter = adapter_at(str(folder))
    assert adapter is not None
    return AdapterEntry(
        sha256=adapter.sha256, rank=adapter.rank, base=model.name, base_sha256=model.sha256
    )
