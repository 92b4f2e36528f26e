"""A behavior tried on an undosed model: does it show, can it flip, is its horizon long enough?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import NamedTuple

from fulcra.behaviors import load_behavior
from fulcra.behaviors.leaks import near_copies, read_as_flipped
from fulcra.models import Model
from fulcra.protocol.fitness.advice import Tried, notes, problems
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.records import Record
from fulcra.protocol.results.fitness import (
    Control,
    ControlEntry,
    FitnessResult,
    FitnessTable,
    NearCopyEntry,
    Quote,
    Share,
)
from fulcra.protocol.runs import model_entry, named, provenance_of
from fulcra.protocol.subject import Ground, Subject, ground_of, in_tokens_of, reference_of
from fulcra.protocol.trials import Trial, prefill_trials, set_trials
from fulcra.screens.diagnostics import diagnose
from fulcra.types import FLIPS, Behavior

SCHEMA_VERSION = 1
#: Openings of generic text that set the standard of coherence; an audit takes twice as many.
GENERIC = 16
#: Prompts at most: a look, no measurement. Those of the baseline are an audit's own.
SELECTION, CONFIRMATION, CONTROLS = 8, 16, 8
#: Reply tokens that are put into the model's mouth: those of an audit's own positive control.
PREFILLED = 1
#: How far beyond its horizon a reply is read: half as far again, within these tokens.
NEAREST, FARTHEST = 4, 12
BASELINE = "baseline"
_CONTROLS: tuple[Control, ...] = ("positive prompts", "negative prompts", "prefill")


class Look(NamedTuple):
    """The records of a short look by stage, each read at the horizon and later."""

    records: Mapping[str, Sequence[Record]]
    horizon: int
    later: int

    def share(self, stage: str, *outcomes: str) -> Share:
        """The replies of a stage with one of these outcomes at the horizon."""
        rows = self.records[stage]
        return Share.of(sum(row.at(self.horizon) in outcomes for row in rows), len(rows))


def fitness(
    model: Model,
    behavior: Behavior,
    seed: int = 0,
    progress: Progress | None = None,
    ground: Ground | None = None,
) -> FitnessResult:
    """Whether a behavior is fit for an audit of this model, and what to change where it is not.

    Cost: at most 48 short undosed rollouts, and the 16 of generic text unless `ground` is given.
    """
    clock = Clock(progress or Silent())
    behavior = in_tokens_of(model, behavior)
    with clock.step("generic text", 0):
        ground = ground or fitness_ground(model, behavior, seed)
    subject = Subject(ground, replace(behavior, horizon=_later(model, behavior)), seed)
    look = _look(subject, behavior.horizon, clock)
    tried = _tried(subject, behavior, look)
    return FitnessResult.of(_result(tried, look, seed, clock).plain())


def fitness_table(
    model: Model, names: Sequence[str], seed: int = 0, progress: Progress | None = None
) -> FitnessTable:
    """The bundled behaviors of these names, each tried; those alike share their generic text."""
    grounds: dict[tuple[str | None, tuple[str, ...]], Ground] = {}
    tried = []
    for behavior in map(load_behavior, names):
        key = behavior.system, behavior.generic
        grounds[key] = grounds.get(key) or fitness_ground(model, behavior, seed)
        tried.append(fitness(model, behavior, seed, progress, grounds[key]))
    return FitnessTable(
        schema_version=SCHEMA_VERSION,
        provenance=provenance_of(model, seed=seed),
        tried=tuple(tried),
    )


def fitness_ground(model: Model, behavior: Behavior, seed: int) -> Ground:
    """The clean facts that say what is coherent under this behavior's system prompt."""
    reference = reference_of(model, behavior)
    return ground_of(model, behavior.generic[:GENERIC], seed, behavior.system, reference)


def _later(model: Model, behavior: Behavior) -> int:
    """The tokens to which replies are read: beyond the horizon, within the model's context."""
    beyond = min(max(behavior.horizon // 2, NEAREST), FARTHEST)
    prompts = behavior.selection + behavior.confirmation + behavior.positive + behavior.negative
    longest = max(len(model.prompt_ids(prompt.text, behavior.system)) for prompt in prompts)
    room = model.context - longest
    return max(behavior.horizon, min(behavior.horizon + beyond, room))


def _look(subject: Subject, horizon: int, clock: Clock) -> Look:
    """Every rollout of the look, judged; words stay in memory."""
    behavior = subject.behavior
    later = behavior.horizon
    measure = Measurement(subject, tuple(dict.fromkeys((horizon, later))), texts="memory")
    trials = _trials(subject)
    with clock.step("rollouts", len(trials)) as bar:
        records = measure("fitness", trials, bar.advance)
    stages = dict.fromkeys(record.stage for record in records)
    by_stage = {stage: [r for r in records if r.stage == stage] for stage in stages}
    return Look(by_stage, horizon, later)


def _trials(subject: Subject) -> list[Trial]:
    """The undosed rollouts of a look."""
    behavior = subject.behavior
    confirmation = behavior.confirmation[:CONFIRMATION]
    prompts = behavior.selection[:SELECTION] + confirmation
    positive, negative, prefill = _CONTROLS
    trials = set_trials(subject, BASELINE, "undosed", (), prompts)
    trials += set_trials(subject, positive, "undosed", (), behavior.positive[:CONTROLS])
    trials += set_trials(subject, negative, "undosed", (), behavior.negative[:CONTROLS])
    return trials + prefill_trials(subject, prefill, confirmation[:CONTROLS], PREFILLED)


def _tried(subject: Subject, behavior: Behavior, look: Look) -> Tried:
    """What a look says of the behavior, and what its texts say without any model's reply."""
    rows = look.records[BASELINE]
    undosed = [row for stage in (BASELINE, *_CONTROLS[:2]) for row in look.records[stage]]
    moved = sum(_kind(row.at(look.horizon)) != _kind(row.at(look.later)) for row in undosed)
    return Tried(
        model=subject.model,
        behavior=behavior,
        shown=look.share(BASELINE, "unchanged"),
        flipped=look.share(BASELINE, *FLIPS),
        coherent=_coherent(rows, look.horizon),
        already_flipped=tuple(row.prompt for row in rows if row.flipped(look.horizon)),
        controls=tuple(_control(name, look) for name in _CONTROLS),
        changed=Share.of(moved, len(undosed)),
        later=look.later,
        near_copies=near_copies(behavior),
        read_as_flipped=read_as_flipped(behavior),
        contrast=diagnose(subject.model, behavior),
    )


def _result(tried: Tried, look: Look, seed: int, clock: Clock) -> FitnessResult:
    behavior, words = tried.behavior, tried.contrast.words
    return FitnessResult(
        schema_version=SCHEMA_VERSION,
        provenance=provenance_of(tried.model, seed=seed),
        model=model_entry(tried.model),
        behavior=named(behavior),
        flip=behavior.flip,
        chat_template=tried.chat_template,
        horizon=look.horizon,
        later=look.later,
        shown=tried.shown,
        flipped=tried.flipped,
        coherent=tried.coherent,
        controls=tried.controls,
        changed=tried.changed,
        near_copies=tuple(NearCopyEntry(**copy._asdict()) for copy in tried.near_copies),
        read_as_flipped=tried.read_as_flipped,
        by_words=None if isnan(words) else words,
        quotes=_quotes(behavior, look),
        problems=problems(tried),
        notes=notes(tried),
        timing=clock.timing(),
    )


def _control(name: Control, look: Look) -> ControlEntry:
    rows = look.records[name]
    return ControlEntry(
        name=name, flipped=look.share(name, *FLIPS), coherent=_coherent(rows, look.horizon)
    )


def _coherent(rows: Sequence[Record], horizon: int) -> Share:
    return Share.of(sum(row.coherent(horizon) for row in rows), len(rows))


def _kind(outcome: str) -> str:
    """An outcome as a verdict counts it: a correct flip is a flip."""
    return "flipped" if outcome in FLIPS else outcome


def _quotes(behavior: Behavior, look: Look) -> tuple[Quote, ...]:
    """The first reply of every stage; none of a sensitive behavior."""
    if behavior.sensitive:
        return ()
    firsts = [(stage, rows[0]) for stage, rows in look.records.items()]
    return tuple(
        Quote(
            stage=stage,
            prompt=row.prompt,
            text=row.cut_at(look.horizon, row.text)[0],
            outcome=row.at(look.horizon),
        )
        for stage, row in firsts
    )
