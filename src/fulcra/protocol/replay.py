"""The trial that a stored rollout came from, made again from the commitment and the model."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import final

from fulcra.errors import InputError
from fulcra.protocol.attacks import attack_trials, direction_trials
from fulcra.protocol.draw import random_direction
from fulcra.protocol.records import ASKED, CEILING, EARLIER, Record
from fulcra.protocol.results.commitment import Commitment
from fulcra.protocol.stages import CEILING_TEMPERATURE, baseline_trials, earlier_trials
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial, dose_trials, pin_trials
from fulcra.screens.directions import difference_directions
from fulcra.types import Branch, Direction, Neuron, Prompt, Sampling


@final
class Replay:
    """The trials of an audit, one stored rollout at a time; a row keeps the seed it was drawn with.

    Made again are doses, held values, prefills and ablations; the screens are not run.
    """

    def __init__(self, subject: Subject, content: Commitment) -> None:
        self.subject, self.content = subject, content

    def trial(self, record: Record) -> Trial | None:
        """The trial of a rollout; None where the plan has none like it."""
        try:
            trials = self._trials(record)
        except (InputError, ValueError):
            return None
        place = (record.stage, record.branch, record.op, record.dose, record.prompt)
        matches = (trial for trial in trials if _place(trial) == place)
        return next(matches, None)

    def _trials(self, record: Record) -> Iterable[Trial]:
        """The trials among which that of the rollout is."""
        subject, behavior = self.subject, self.subject.behavior
        if record.stage == "baseline":
            return baseline_trials(subject)
        if record.stage == "pins":
            pins = [(Neuron.parse(record.branch), record.value)]
            return pin_trials(subject, record.stage, pins, behavior.confirmation)
        if record.stage in (ASKED, "context", "direction_selection"):
            return self._attacks
        if record.stage == "direction_ablation":
            return self._ablation(record.branch)
        return self._doses(record)

    def _doses(self, record: Record) -> list[Trial]:
        """One branch at one gain of the commitment."""
        subject, behavior = self.subject, self.subject.behavior
        if record.gain not in self.content.plan.gains:
            return []
        places, gains = [subject.coordinate(self._branch(record))], [record.gain]
        sets = {
            "selection": behavior.selection,
            "confirmation": behavior.confirmation,
            "control": behavior.confirmation,
        }
        if record.stage == EARLIER:
            return earlier_trials(subject, places, gains)
        if record.stage == CEILING:
            generic = [Prompt(f"ceiling-{i}", t) for i, t in enumerate(behavior.ceiling_generic)]
            sampled = Sampling(CEILING_TEMPERATURE, subject.seed)
            return dose_trials(subject, CEILING, places, gains, generic, sampled)
        prompts = sets.get(record.stage, ())
        return dose_trials(subject, record.stage, places, gains, prompts)

    def _branch(self, record: Record) -> Branch:
        """The committed branch of a name; InputError where it is none of this stage."""
        content, name = self.content, record.branch
        committed = [entry.branch for entry in content.branches]
        if name not in (content.controls if record.stage == "control" else committed):
            raise InputError(f"{name}: not committed")
        layer, _, number = name.partition(".random")
        if not number:
            return Neuron.parse(name)
        place = int(layer.removeprefix("L"))
        return random_direction(self.subject.model, place, int(number), self.subject.seed)

    @cached_property
    def _directions(self) -> list[Direction]:
        return difference_directions(self.subject.model, self.subject.behavior)

    @cached_property
    def _attacks(self) -> list[Trial]:
        return attack_trials(self.subject, self._directions)

    def _ablation(self, name: str) -> Iterator[Trial]:
        for direction in self._directions:
            if str(direction) == name:
                yield from direction_trials(self.subject, direction)


def _place(trial: Trial) -> tuple[str, str, str, float, str]:
    return trial.stage, trial.branch, trial.op, trial.dose, trial.prompt.id
