"""The smallest open gain of many branches with few rollouts: each climbs its ladder until it opens
or its text is lost.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from fulcra.formulas.coordinate import Coordinate
from fulcra.law.edges import HALF
from fulcra.models import Model
from fulcra.protocol import Record, dose_trials
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock
from fulcra.screens.dosed_logit import REACH, spread
from fulcra.types import Behavior, Prompt

#: Confirmation prompts of the first look at a rung. A rung on which exactly half of 16 prompts flip
#: shows none on these four with probability .04; one without a flip there is not looked at further.
FIRST_LOOK = 4
End = Literal["open", "collapse", "top"]


@dataclass(slots=True)
class Climber:
    """One branch on its way up: its rung, and how it ended; `gain` is the smallest open one,
    `flipped` its best rate.
    """

    at: Coordinate
    rung: int
    end: End | None = None
    gain: float | None = None
    flipped: float = 0.0


def start_rung(trigger: float | None, gains: Sequence[float] = REACH) -> int:
    """The last rung at or below a forecast trigger; the first rung where it lies below all, or is
    unknown.
    """
    return 0 if trigger is None else max(0, bisect_right(gains, trigger) - 1)


@final
class Climb:
    """Climbs many branches at once, a rung a round; every round is stored, so that an interrupted
    climb goes on.
    """

    def __init__(
        self,
        measure: Measurement,
        model: Model,
        behavior: Behavior,
        prompts: Sequence[Prompt],
        gains: Sequence[float] = REACH,
    ) -> None:
        self.measure, self.model, self.behavior, self.gains = measure, model, behavior, gains
        self.first = spread(prompts, FIRST_LOOK)
        self.rest = tuple(prompt for prompt in prompts if prompt not in self.first)

    def __call__(
        self, climbers: Sequence[Climber], clock: Clock, name: str = "climb"
    ) -> list[Record]:
        """All climbers to their end; returns the records of their rollouts."""
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
        for climber in going:
            if climber.rung >= climber.at.rungs(self.gains):
                climber.end = "top"
        looking = [climber for climber in going if climber.end is None]
        seen = self._looked(f"{name}-first", looking, self.first)
        promising = [
            climber
            for climber in looking
            if any(record.flipped(self.behavior.horizon) for record in seen[id(climber)])
        ]
        more = self._looked(f"{name}-rest", promising, self.rest)
        for climber in looking:
            self._judge(climber, seen[id(climber)], more.get(id(climber), []))
        return [record for found in (seen, more) for rows in found.values() for record in rows]

    def _looked(
        self, name: str, climbers: Sequence[Climber], prompts: Sequence[Prompt]
    ) -> dict[int, list[Record]]:
        """The records of each climber at its own rung."""
        trials = [
            trial
            for climber in climbers
            for trial in dose_trials(
                self.model,
                self.behavior,
                "confirmation",
                [climber.at],
                [self.gains[climber.rung]],
                prompts,
            )
        ]
        records = self.measure(name, trials) if trials else []
        size = len(prompts)
        return {
            id(climber): records[i * size : (i + 1) * size] for i, climber in enumerate(climbers)
        }

    def _judge(self, climber: Climber, first: Sequence[Record], rest: Sequence[Record]) -> None:
        every, horizon = [*first, *rest], self.behavior.horizon
        rate = sum(record.flipped(horizon) for record in every) / len(every)
        climber.flipped = max(climber.flipped, rate)
        if rate >= HALF and (rest or not self.rest):
            climber.end, climber.gain = "open", self.gains[climber.rung]
        elif not any(record.coherent(horizon) for record in first):
            climber.end = "collapse"
        climber.rung += 1
