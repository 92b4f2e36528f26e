"""The smallest open gain of many branches with few rollouts, each on a staircase of its own."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from fulcra.formulas.coordinate import Coordinate
from fulcra.law.edges import HALF
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock
from fulcra.protocol.records import Record
from fulcra.protocol.trials import Trial, dose_trials
from fulcra.screens.dosed_logit import REACH, spread
from fulcra.types import Prompt

#: Confirmation prompts of the first look at a rung. A rung on which exactly half of 16 prompts flip
#: shows none on these four with probability .04; one without a flip there is not looked at further.
FIRST_LOOK = 4
End = Literal["open", "collapse", "top"]


@dataclass(slots=True)
class Climber:
    """One branch on its way up: its rung, and how it ended.

    `gain` is the smallest open one, `flipped` the best flip rate.
    """

    at: Coordinate
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
            if climber.rung >= climber.at.rungs(self.gains):
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
            trials += dose_trials(subject, "confirmation", [climber.at], gains, prompts)
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
