"""The smallest open gain of many branches with few rollouts, each on a staircase of its own."""

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

from fulcra.errors import RunFolderError
from fulcra.formulas.coordinate import Coordinate
from fulcra.law.edges import HALF
from fulcra.law.verdict import specific
from fulcra.protocol.draw import random_direction
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock
from fulcra.protocol.records import Record
from fulcra.protocol.results.census import FIRST_LOOK, BranchSource, MeasuredBranch, Undosed
from fulcra.protocol.runs import Run
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial, dose_trials, set_trials
from fulcra.screens.candidates import movable
from fulcra.screens.dosed_logit import REACH, spread
from fulcra.types import Branch, Prompt

End = Literal["open", "collapse", "top"]


@dataclass(slots=True)
class Climber:
    """One branch on its way up: its rung, and how it ended.

    `gain` is the smallest open one, `flipped` the best flip rate.
    """

    coordinate: Coordinate
    rung: int
    end: End | None = None
    gain: float | None = None
    flipped: float = 0.0


def start_rung(trigger: float | None, gains: Sequence[float] = REACH) -> int:
    """The last rung at or below a forecast trigger; the first one where it is below all or None."""
    return 0 if trigger is None else max(0, bisect_right(gains, trigger) - 1)


@final
class Climb:
    """Climbs many branches at once, a rung a round, each until it opens or its text is lost.

    Every round is stored, so that an interrupted climb goes on.
    """

    def __init__(
        self, measure: Measurement, prompts: Sequence[Prompt], gains: Sequence[float] = REACH
    ) -> None:
        self.measure, self.gains = measure, gains
        self.horizon = measure.subject.behavior.horizon
        self.first = spread(prompts, FIRST_LOOK)
        self.rest = tuple(prompt for prompt in prompts if prompt not in self.first)

    def __call__(
        self, climbers: Sequence[Climber], clock: Clock, name: str = "climb"
    ) -> list[Record]:
        """The records of all rollouts; every climber has then come to its end."""
        records: list[Record] = []
        for number in range(len(self.gains)):
            going = [climber for climber in climbers if climber.end is None]
            if not going:
                break
            with clock.step(f"{name} {number + 1}", len(going)) as bar:
                records += self._round(going, f"{name}-{number}")
                bar.advance(len(going))
        return records

    def _round(self, going: Sequence[Climber], name: str) -> list[Record]:
        """The records of one rung of every climber that has one left."""
        for climber in going:
            if climber.rung >= climber.coordinate.rungs(self.gains):
                climber.end = "top"
        looking = [climber for climber in going if climber.end is None]
        first = self._records(f"{name}-first", looking, self.first)
        promising = [i for i, records in enumerate(first) if self._flips(records)]
        rest: list[list[Record]] = [[] for _ in looking]
        more = self._records(f"{name}-rest", [looking[i] for i in promising], self.rest)
        for i, records in zip(promising, more, strict=True):
            rest[i] = records
        for climber, early, late in zip(looking, first, rest, strict=True):
            self._judge(climber, early, late)
        return [record for records in (*first, *more) for record in records]

    def _records(
        self, name: str, climbers: Sequence[Climber], prompts: Sequence[Prompt]
    ) -> list[list[Record]]:
        """The records of each climber at its own rung, a list a climber."""
        trials: list[Trial] = []
        for climber in climbers:
            gains = [self.gains[climber.rung]]
            subject = self.measure.subject
            trials += dose_trials(subject, "confirmation", [climber.coordinate], gains, prompts)
        records = self.measure(name, trials) if trials else []
        size = len(prompts)
        return [records[i * size : (i + 1) * size] for i in range(len(climbers))]

    def _flips(self, records: Sequence[Record]) -> int:
        return sum(record.flipped(self.horizon) for record in records)

    def _judge(self, climber: Climber, first: Sequence[Record], rest: Sequence[Record]) -> None:
        """Take note of a rung: the branch opens there, its text is lost, or it climbs on."""
        records = [*first, *rest]
        rate = self._flips(records) / len(records)
        climber.flipped = max(climber.flipped, rate)
        if rate >= HALF and (rest or not self.rest):
            climber.end, climber.gain = "open", self.gains[climber.rung]
        elif not any(record.coherent(self.horizon) for record in first):
            climber.end = "collapse"
        climber.rung += 1


class DrawnBranch(NamedTuple):
    """A branch to be measured: why, how many branches it stands for, and where its climb begins.

    `rung` None: it is not rolled out. `trigger`, `ceiling`: its forecast edges [gain].
    """

    coordinate: Coordinate
    source: BranchSource
    weight: float
    rung: int | None = 0
    trigger: float | None = None
    ceiling: float | None = None


class Climbed(NamedTuple):
    """What was measured of every member, beside the undosed model and the controls' open gains."""

    branches: list[MeasuredBranch]
    controls: list[float | None]
    baseline: Undosed


def climb_all(run: Run, subject: Subject, members: Sequence[DrawnBranch], controls: int) -> Climbed:
    """What rollouts show of the members and of random controls, on prompts that do not leak.

    RunFolderError where every confirmation prompt flips undosed.
    """
    measure = Measurement(subject, folder=run.folder, salt=run.salt)
    baseline, prompts = _undosed(measure)
    climbers = [None if m.rung is None else Climber(m.coordinate, m.rung) for m in members]
    climbing = [climber for climber in climbers if climber is not None]
    sites = control_sites(subject, controls)
    others = [Climber(subject.coordinate(site), 0) for site in sites]
    Climb(measure, prompts)([*climbing, *others], run.clock)
    gains = [control.gain for control in others]
    pairs = zip(members, climbers, strict=True)
    return Climbed([_measured(m, climber, gains) for m, climber in pairs], gains, baseline)


def _undosed(measure: Measurement) -> tuple[Undosed, list[Prompt]]:
    """What the undosed model does, and the confirmation prompts that do not leak."""
    subject, behavior = measure.subject, measure.subject.behavior
    trials = set_trials(subject, "baseline", "undosed", (), behavior.confirmation)
    records, horizon = measure("baseline", trials), behavior.horizon
    leaking = {record.prompt for record in records if record.flipped(horizon)}
    prompts = [prompt for prompt in behavior.confirmation if prompt.id not in leaking]
    if not prompts:
        raise RunFolderError(
            f"behavior {behavior.name!r}: {subject.model.name} flips every confirmation prompt"
            " undosed; there is nothing to find"
        )
    n = len(records)
    shown = sum(record.at(horizon) == "unchanged" for record in records)
    return Undosed(rate=shown / n, leak=len(leaking) / n, n=n), prompts


def control_sites(subject: Subject, count: int) -> list[Branch]:
    """Random neurons on a random pole and as many random directions, over all layers."""
    model, rng = subject.model, random.Random(f"controls-{subject.seed}")
    neurons = movable(model, subject.ground.stream)
    drawn = rng.sample(neurons, min(count, len(neurons)))
    sites: list[Branch] = [rng.choice((neuron, neuron.opposite)) for neuron in drawn]
    layers = [i % model.n_layers for i in range(count)]
    sites += [random_direction(model, layer, i, subject.seed) for i, layer in enumerate(layers)]
    return sites


def _measured(
    member: DrawnBranch, climber: Climber | None, controls: Sequence[float | None]
) -> MeasuredBranch:
    """The row of a member, climbed or not; one that opens nowhere is not specifically open."""
    end, gain, flipped, is_specific = None, None, 0.0, None
    if climber is not None:
        end, gain, flipped = climber.end, climber.gain, climber.flipped
        is_specific = False if gain is None else specific(gain, controls)
    return MeasuredBranch(
        branch=str(member.coordinate.branch),
        source=member.source,
        end=end,
        trigger=member.trigger,
        ceiling=member.ceiling,
        smallest_open_gain=gain,
        flipped=flipped,
        weight=member.weight,
        specific=is_specific,
    )
