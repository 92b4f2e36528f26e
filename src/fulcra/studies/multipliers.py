"""Paper B's intervention: the top neurons of the contrast multiplied together, by pole.

Each set stands against random sets of the same layers.
"""

import random
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from fulcra.formulas.intervals import wilson
from fulcra.models import Model, scale
from fulcra.protocol.draw import alike
from fulcra.protocol.measure import Measurement, reply_after
from fulcra.protocol.progress import Progress
from fulcra.protocol.provenance import code_version
from fulcra.protocol.records import Record
from fulcra.protocol.results.multiply import MultiplierRow, MultiplyResult, Pole, SetEntry
from fulcra.protocol.runs import Run, manifest_of, model_entry, named, provenance_of
from fulcra.protocol.subject import Subject, surprises
from fulcra.protocol.trials import Trial, set_trials
from fulcra.screens.contrastive import set_sizes
from fulcra.types import Behavior, Neuron, Ranking

MULTIPLIERS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)


class MultipliedSet(NamedTuple):
    """One of paper B's sets: the name of its size, its pole, its neurons."""

    size: str
    pole: Pole
    neurons: tuple[Neuron, ...]


class Arm(NamedTuple):
    """One multiplier on one set, and on each of the random sets beside it."""

    chosen: MultipliedSet
    random: list[list[Neuron]]
    multiplier: float

    @property
    def groups(self) -> list[Sequence[Neuron]]:
        """The neurons that are multiplied together: the set's, then each random set's."""
        return [self.chosen.neurons, *self.random]


class MeasuredReply(NamedTuple):
    """The record of one reply, and its mean surprise a token under the clean model [nats].

    None where the reply is empty.
    """

    record: Record
    nats: float | None


def neuron_sets(model: Model, ranking: Ranking) -> list[MultipliedSet]:
    """Paper B's sets: all of the top k, and those more (+) or less (-) active where it shows.

    "It" is the behavior: a neuron that the ranking pushes down is more active there.
    """
    sets: list[MultipliedSet] = []
    for size, count in set_sizes(model).items():
        top = ranking.top(count)
        more = tuple(neuron for neuron in top if neuron.pole < 0)
        less = tuple(neuron for neuron in top if neuron.pole > 0)
        sets += [MultipliedSet(size, "both", top), MultipliedSet(size, "+", more)]
        sets.append(MultipliedSet(size, "-", less))
    return [chosen for chosen in sets if chosen.neurons]


def multiplier_sweep(
    model: Model,
    behavior: Behavior,
    multipliers: Sequence[float] = MULTIPLIERS,
    *,
    random_sets: int = 3,
    seed: int = 0,
    progress: Progress | None = None,
) -> MultiplyResult:
    """Rates, quality and surprise of each set under each multiplier, beside random sets.

    Cost: sets x multipliers x (1 + random sets) x confirmation rollouts.
    """
    settings = {"multipliers": multipliers, "random_sets": random_sets, "seed": seed}
    run = Run.open(manifest_of("multiply", model, behavior, settings), None, progress)
    subject = Subject.of(model, behavior, seed)
    sets = neuron_sets(model, subject.circuit)
    arms: list[Arm] = []
    for chosen in sets:
        names = [f"{chosen.size}-{chosen.pole}-{seed}-{i}" for i in range(random_sets)]
        beside = [alike(model, chosen.neurons, random.Random(name)) for name in names]
        arms += [Arm(chosen, beside, multiplier) for multiplier in multipliers]
    rows = _rows(run, subject, arms)
    result = MultiplyResult(
        schema_version=1,
        model=model_entry(model),
        behavior=named(subject.behavior),
        code=code_version(),
        seed=seed,
        random_sets=random_sets,
        sets=tuple(_set_entry(chosen) for chosen in sets),
        rows=tuple(rows),
        provenance=provenance_of(model, reference=subject.ground.reference.name, seed=seed),
        timing=run.clock.timing(),
    )
    return MultiplyResult.of(result.plain())


def _set_entry(chosen: MultipliedSet) -> SetEntry:
    neurons = tuple(neuron.site for neuron in chosen.neurons)
    return SetEntry(set=chosen.size, pole=chosen.pole, neurons=neurons)


def _rows(run: Run, subject: Subject, arms: Sequence[Arm]) -> list[MultiplierRow]:
    """The row of every arm; replies come back in the order of its trials, prompt by prompt."""
    trials: list[Trial] = []
    for arm in arms:
        for neurons in arm.groups:
            trials += _trials(subject, neurons, arm.multiplier)
    with run.clock.step("multipliers", len(trials)) as bar:
        replies = _replies(Measurement(subject, salt=run.salt), trials, bar)
    rows, end, prompts = [], 0, len(subject.behavior.confirmation)
    for arm in arms:
        start, end = end, end + len(arm.groups) * prompts
        own, beside = replies[start : start + prompts], replies[start + prompts : end]
        rows.append(_row(arm, own, beside, subject.behavior.horizon))
    return rows


def _trials(subject: Subject, neurons: Sequence[Neuron], multiplier: float) -> list[Trial]:
    edits = tuple(scale(neuron, multiplier) for neuron in neurons) if multiplier != 1 else ()
    prompts = subject.behavior.confirmation
    return set_trials(subject, "multipliers", f"x{multiplier:g}", edits, prompts)


def _replies(measure: Measurement, trials: Sequence[Trial], bar: Progress) -> list[MeasuredReply]:
    """What came of the trials, in their order; equal replies are read by the clean model once."""
    rollouts = measure.roll(trials, bar.advance)
    pairs = [reply_after(trial, rollout) for trial, rollout in zip(trials, rollouts, strict=True)]
    new = [pair for pair in dict.fromkeys(pairs) if pair[1]]
    surprise = dict(zip(new, surprises(measure.subject.model, new), strict=True))
    records = measure.judge(trials, rollouts)
    return [
        MeasuredReply(record, fmean(surprise[pair]) if pair in surprise else None)
        for record, pair in zip(records, pairs, strict=True)
    ]


def _row(
    arm: Arm, own: Sequence[MeasuredReply], beside: Sequence[MeasuredReply], horizon: int
) -> MultiplierRow:
    records, others = [reply.record for reply in own], [reply.record for reply in beside]
    n = len(records)
    shown = wilson(_count(records, horizon, "unchanged"), n)
    flips = wilson(sum(record.flipped(horizon) for record in records), n)
    return MultiplierRow(
        set=arm.chosen.size,
        pole=arm.chosen.pole,
        neurons=len(arm.chosen.neurons),
        multiplier=arm.multiplier,
        behavior_rate=shown.value,
        behavior_low=shown.low,
        behavior_high=shown.high,
        flip_rate=flips.value,
        flip_low=flips.low,
        flip_high=flips.high,
        reach=_count(records, horizon, "flipped_correct") / n,
        collapse=_count(records, horizon, "collapse") / n,
        quality=_mean([record.distinct for record in records]),
        surprise=_mean([record.surprised for record in records]),
        nats=_mean([reply.nats for reply in own]),
        n=n,
        random_nats=_mean([reply.nats for reply in beside]),
        random_behavior_rate=_count(others, horizon, "unchanged") / len(others),
        random_flip_rate=sum(record.flipped(horizon) for record in others) / len(others),
        random_quality=_mean([record.distinct for record in others]),
        random_surprise=_mean([record.surprised for record in others]),
    )


def _count(records: Sequence[Record], horizon: int, outcome: str) -> int:
    return sum(record.at(horizon) == outcome for record in records)


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of what was scored; None where nothing was."""
    scored = [value for value in values if value is not None]
    return fmean(scored) if scored else None
