"""What still opens at a gate in a changed model: through the neuron, and around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from fulcra.defence.mend.gates import Gate
from fulcra.defence.mend.mended import HeldEntry, LadderEntry, ReachEntry
from fulcra.formulas.coordinate import Coordinate
from fulcra.models import ablate_direction, add_mlp
from fulcra.protocol.measure import Measurement
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial, dose_trials, pin_trials, set_trials
from fulcra.types import Direction, Prompt

Way = Literal["dose", "own", "stream"]
SIGNS = {1: "+", -1: "-"}


@dataclass(frozen=True, slots=True, eq=False)
class Attacks:
    """What is done to a gate, in the units of the original model.

    `write` is the neuron's in the original, [d_model], on the CPU; `places` are both its poles.
    """

    gate: Gate
    gains: tuple[float, ...]
    write: Tensor
    places: tuple[Coordinate, ...]

    @classmethod
    def of(cls, original: Subject, gate: Gate, gains: Sequence[float]) -> "Attacks":
        """The attacks on a gate, sized by the original while its model is unchanged."""
        poles = sorted((gate.neuron, gate.neuron.opposite), key=lambda branch: branch.pole)
        places = tuple(original.coordinate(branch) for branch in poles)
        write = original.model.write(gate.neuron).cpu().clone()
        return cls(gate, tuple(gains), write, places)

    def on(self, subject: Subject) -> ReachEntry:
        """What the attacks flip in a subject whose model may be changed.

        Cost: a rollout a confirmation prompt, a gain and a pole that opens; where the neuron still
        writes anything, four times as many and one a value it is held at.
        """
        undosed = _rates(subject, set_trials(subject, "undosed", "", (), _prompts(subject)))
        inert = not bool(subject.model.write(self.gate.neuron).any())
        return ReachEntry(
            n=len(_prompts(subject)),
            undosed=undosed[0.0],
            inert=inert,
            through=() if inert else self._through(subject),
            held=() if inert else self._held(subject),
            around=tuple(self._around(subject, place) for place in self._opening),
            direction=self.without(subject),
        )

    @property
    def _site(self) -> Direction:
        """The original write as a direction of its layer."""
        return Direction(self.gate.neuron.layer, f"write of {self.gate.neuron.site}", self.write)

    @property
    def _opening(self) -> list[Coordinate]:
        """The poles that open in the audit; the neuron's own where none opens under a dose."""
        poles = self.gate.poles or (self.gate.neuron.pole,)
        return [place for place in self.places if place.branch.pole in poles]

    def _through(self, subject: Subject) -> tuple[LadderEntry, ...]:
        """Both poles at the original's doses, then at those sized by the write as it is now."""
        now = [subject.coordinate(place.branch) for place in self.places]
        ladders = [self._dosed(subject, place, "dose") for place in self.places]
        return (*ladders, *(self._dosed(subject, place, "own") for place in now))

    def _dosed(self, subject: Subject, place: Coordinate, way: Way) -> LadderEntry:
        trials = dose_trials(subject, way, [place], self.gains, _prompts(subject))
        return _ladder(way, place, _rates(subject, trials))

    def _held(self, subject: Subject) -> tuple[HeldEntry, ...]:
        pins = [(self.gate.neuron, value) for value in self.gate.held]
        rates = _rates(subject, pin_trials(subject, "held", pins, _prompts(subject)))
        return tuple(HeldEntry(value=value, flips=share) for value, share in rates.items())

    def _around(self, subject: Subject, place: Coordinate) -> LadderEntry:
        """The original write added to what the MLP writes, as the original's doses added it."""
        rates: dict[float, float] = {}
        for gain in self.gains[: place.rungs(self.gains)]:
            edit = add_mlp(self._site, place.alpha(gain) * place.branch.pole)
            trials = set_trials(subject, "stream", f"{gain:g}", (edit,), _prompts(subject))
            rates[gain] = next(iter(_rates(subject, trials).values()))
        return _ladder("stream", place, rates)

    def without(self, subject: Subject) -> float:
        """The share that flips without the original write direction in the stream."""
        edits = (ablate_direction(self._site),)
        trials = set_trials(subject, "direction", "", edits, _prompts(subject))
        return next(iter(_rates(subject, trials).values()))


def _prompts(subject: Subject) -> Sequence[Prompt]:
    return subject.behavior.confirmation


def _rates(subject: Subject, trials: Sequence[Trial]) -> dict[float, float]:
    """The share of coherent flips at every dose, by the standard of the original."""
    flips: dict[float, list[bool]] = {}
    records = Measurement(subject, texts="memory")(trials[0].stage, trials)
    for record in records:
        flips.setdefault(record.dose, []).append(record.flipped(subject.behavior.horizon))
    return {dose: sum(each) / len(each) for dose, each in flips.items()}


def _ladder(way: Way, place: Coordinate, rates: dict[float, float]) -> LadderEntry:
    sign = SIGNS[place.branch.pole]
    return LadderEntry(way=way, pole=sign, gains=tuple(rates), flips=tuple(rates.values()))
