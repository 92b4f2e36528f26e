"""One loaded model and what was learnt of it undosed: each thing once, whoever asks for it."""

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from threading import RLock
from typing import Generic, NamedTuple, TypeVar, final

from fulcra.behaviors import behavior_sha256
from fulcra.errors import InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.models import Model
from fulcra.playground.runs import LoadedRun, loaded_run
from fulcra.playground.window import Window
from fulcra.protocol.results.card import CardResult
from fulcra.protocol.results.commitment import predicted_entry
from fulcra.protocol.subject import Subject
from fulcra.studies.card import Forecast, Others, card_of, forecasts_of
from fulcra.studies.recipe import PredictedWindow, Recipe, recipe
from fulcra.types import Behavior, Neuron

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
#: Neurons that are offered where no run names any, the first of the contrastive screen.
OFFERED = 12


class Choice(NamedTuple):
    """What a page works on: a behavior by its label, a run by its folder's name or "", a branch."""

    behavior: str
    run: str = ""
    branch: str = ""


@final
class Once(Generic[Key, Value]):
    """Values by key, each made at the first asking, under a lock."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._values: dict[Key, Value] = {}

    def __call__(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of a key."""
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
            return self._values[key]

    def ready(self, key: Key) -> Value | None:
        """The value of a key where it was made, at once."""
        return self._values.get(key)


@final
class Workbench:
    """The model, its behaviors by label, and the runs that were loaded, by name.

    `beginnings` are what a page works on first once it has a run, by the run's name. Whoever runs
    the model holds `lock`: pages take turns.
    """

    def __init__(self, model: Model, behaviors: Sequence[Behavior], seed: int = 0) -> None:
        self.model, self.seed = model, seed
        self.behaviors = {behavior.name: behavior for behavior in behaviors}
        self.runs: dict[str, LoadedRun] = {}
        self.beginnings: dict[str, Choice] = {}
        self.lock = RLock()
        self._subjects: Once[str, Subject] = Once(self.lock)
        self._windows: Once[Choice, Window] = Once(self.lock)
        self._cards: Once[Choice, CardResult] = Once(self.lock)

    def first(self) -> Choice:
        """What a page works on first without a run: the first behavior."""
        return Choice(next(iter(self.behaviors)))

    def behavior(self, label: str) -> Behavior:
        """The behavior of a label; InputError where there is none."""
        if label not in self.behaviors:
            raise InputError(f"behavior {label!r}: not here; choose {', '.join(self.behaviors)}")
        return self.behaviors[label]

    def load_run(self, folder: Path) -> Choice:
        """The choice of a run's behavior and first branch, after it was read; InputError if not.

        A behavior that the run took less of, or another version, stands beside the whole one.
        """
        run = loaded_run(folder, self.model)
        if self.runs.get(run.name, run).folder.resolve() != folder.resolve():
            raise InputError(f"run {folder}: another run of the name {run.name} is loaded already")
        label, sha256 = run.behavior.name, behavior_sha256(run.behavior)
        if behavior_sha256(self.behaviors.get(label, run.behavior)) != sha256:
            label = f"{label} of {run.name}"
        self.behaviors.setdefault(label, run.behavior)
        self.runs[run.name] = run
        self.beginnings[run.name] = Choice(label, run.name, next(iter(run.branches), ""))
        return self.beginnings[run.name]

    def run(self, name: str) -> LoadedRun | None:
        """The loaded run of a name, None for ""; InputError for any other."""
        if name and name not in self.runs:
            raise InputError(f"run {name!r}: not loaded; choose one that is")
        return self.runs.get(name)

    def subject(self, label: str) -> Subject:
        """The model under a behavior, undosed. Cost: 32 short rollouts, once a behavior."""
        behavior = self.behavior(label)
        return self._subjects(label, lambda: Subject.of(self.model, behavior, self.seed))

    def neurons(self, label: str, run: str = "") -> tuple[str, ...]:
        """The branches to choose from: a run's, else the first of the contrastive screen.

        Cost without a run: passes over the behavior's prompts, once a behavior.
        """
        if (loaded := self.run(run)) is not None:
            return tuple(loaded.branches)
        with self.lock:
            return tuple(map(str, self.subject(label).circuit.top(OFFERED)))

    def known(self, choice: Choice) -> Window | None:
        """The window of a branch as far as nothing need be run for it."""
        run = self.run(choice.run)
        committed = None if run is None else run.window(choice.branch)
        return committed or self._windows.ready(choice)

    def window(self, choice: Choice) -> Window:
        """The window of a branch: a run's, else predicted here.

        Cost of a prediction: 13 dosed passes over 16 texts, and at most 10 over the selection
        prompts.
        """
        if (window := self.known(choice)) is not None:
            return window
        self.model.require(Neuron(choice.branch))

        def predicted() -> Window:
            subject = self.subject(choice.behavior)
            place = subject.coordinate(Neuron(choice.branch))
            (edges,) = forecasts_of(subject.ground, subject, [place])
            return Window(place, *edges)

        return self._windows(choice, predicted)

    def card(self, choice: Choice) -> CardResult:
        """The card of the neuron of a branch, both poles, beside what the run measured of it."""
        neuron, run = Neuron(choice.branch), self.run(choice.run)

        def forecasts(places: Sequence[Coordinate]) -> list[Forecast]:
            windows = [self.window(choice._replace(branch=str(place.branch))) for place in places]
            return [Forecast(window.ceiling, window.trigger) for window in windows]

        def made() -> CardResult:
            subject = self.subject(choice.behavior)
            others = Others(None if run is None else run.folder)
            return card_of(subject.ground, subject, neuron, others, self.seed, forecasts)

        return self._cards(choice._replace(branch=neuron.site), made)

    def recipe(self, choice: Choice, alignment: float) -> Recipe:
        """The recipe of one dose of a branch whose window is known; nothing is run for it."""
        window = self.window(choice)
        edit, trigger = window.edit(alignment), window.trigger
        predicted = PredictedWindow(
            branch=choice.branch,
            budget=window.place.budget,
            ceiling=predicted_entry(window.ceiling),
            trigger=None if trigger is None else predicted_entry(trigger),
        )
        return recipe(self.model, [edit], str(edit), self.behavior(choice.behavior), [predicted])
