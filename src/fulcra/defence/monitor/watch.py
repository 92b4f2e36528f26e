"""A model watched while it is used: windows of its stream held against a calibration."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, final

import torch

from fulcra.defence.monitor.calibration import Calibration
from fulcra.defence.monitor.statistics import Scores, Statistic, scores
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.watching import Stopping, Windows, stopping, watched_stream
from fulcra.types import Neuron

#: The statistics that raise alarms: `cosine` is there to be compared with.
RAISED: tuple[Statistic, ...] = ("dose", "shift")


class Alarm(NamedTuple):
    """A window above a threshold: its row in the batch, its number there, and its score.

    `neuron` is the one whose write the shift is nearest to: what the change looks like a dose of,
    which clean text of another kind may too.
    """

    statistic: Statistic
    row: int
    window: int
    score: float
    threshold: float
    neuron: Neuron


class WatchReport(NamedTuple):
    """What a watch saw: generated tokens, complete windows of them, and alarms in their order."""

    tokens: int
    windows: int
    alarms: tuple[Alarm, ...]

    @property
    def dosed(self) -> tuple[Neuron, ...]:
        """The neurons that dose alarms name, each once, the most often named first.

        What the changes look like doses of; whether any was dosed is not measured.
        """
        names = [alarm.neuron for alarm in self.alarms if alarm.statistic == "dose"]
        return tuple(sorted(dict.fromkeys(names), key=lambda neuron: -names.count(neuron)))

    def __str__(self) -> str:
        if not self.windows:
            return f"{self.tokens} tokens watched, too few for a window: nothing can be said"
        counts = ", ".join(
            f"{sum(alarm.statistic == name for alarm in self.alarms)} {name}" for name in RAISED
        )
        nearest = f"; nearest {self.dosed[0]}" if self.dosed else ""
        return f"{self.tokens} tokens, {self.windows} windows, alarms: {counts}{nearest}"


@final
@dataclass(slots=True)
class Watch:
    """A running watch of one model; ask `report()` at any time, inside the block or after it."""

    model: Model
    calibration: Calibration
    windows: Windows
    _alarms: list[Alarm] = field(default_factory=list)
    _counts: dict[int, int] = field(default_factory=dict)
    _earlier: int = 0

    def report(self) -> WatchReport:
        """What was seen so far; a window that is not full counts nothing."""
        self.windows.sum_up()
        self._score()
        return WatchReport(self.windows.tokens, sum(self._counts.values()), tuple(self._alarms))

    def stop(self, on: Statistic = "dose") -> Stopping:
        """A stopping criterion for `generate`: a row ends once it has raised an alarm.

        It serves any number of calls: alarms of earlier ones end no row, though a window that an
        earlier one left open counts for the call that fills it. A row that was ended is watched no
        longer in that call. InputError for a statistic that raises no alarm.
        """
        if on not in RAISED:
            raise InputError(
                f"watch: stop(on={on!r}), and alarms are raised by {' and '.join(RAISED)}; name one"
                " of these"
            )
        self.windows.begun = self._begin
        self._begin()

        def rows() -> set[int]:
            self._score()
            own = self._alarms[self._earlier :]
            ended = {alarm.row for alarm in own if alarm.statistic == on}
            # beside the rows that go on it is padding that is read of these
            self.windows.leave(ended)
            return ended

        return stopping(rows)

    def _begin(self) -> None:
        """Alarms of all that was read until now are those of earlier texts."""
        self.windows.sum_up()
        self._score()
        self._earlier = len(self._alarms)

    def _score(self) -> None:
        """Hold the windows that were completed since against the thresholds."""
        complete, self.windows.complete = self.windows.complete, []
        if not complete:
            return
        means = torch.stack([mean for _, mean in complete])
        held = scores(self.model, self.calibration.norms, means, plain=False)
        for i, (row, _) in enumerate(complete):
            number = self._counts.get(row, 0)
            self._counts[row] = number + 1
            self._alarms += self._raised(held, i, row, number)

    def _raised(self, held: Scores, i: int, row: int, number: int) -> Iterator[Alarm]:
        for name in RAISED:
            score = float(held.column(name)[i])
            threshold = self.calibration.header.threshold(name).value
            if not score <= threshold:
                neuron = held.named(self.model, i)
                yield Alarm(name, row, number, score, threshold, neuron)


class Watching(Protocol):
    """An engine that can read the stream of its own rollouts, as vLLM's does in its workers."""

    def watched(self, windows: Windows) -> AbstractContextManager[None]:
        """A block in which the windows are filled by reply tokens."""


@contextmanager
def watch(
    model: Model,
    calibration: Calibration | str | Path,
    prompts: bool = False,
    engine: Watching | None = None,
) -> Iterator[Watch]:
    """A watch of every generated token while the block runs; with `prompts` of every token.

    `calibration` is of this very model (InputError otherwise), as `fulcra monitor fit` wrote it.
    No output changes; hooks are gone afterwards, also after an exception. A row of a batch fills
    windows of its own, and goes on with them in the next call. With `engine` the rollouts of that
    one are watched, in its workers, in place of the model in this process: reply tokens alone.
    """
    if engine is not None and prompts:
        raise InputError("watch: an engine reads reply tokens alone; leave prompts out")
    if not isinstance(calibration, Calibration):
        calibration = Calibration.load(calibration)
    calibration.require(model)
    watching = Watch(model, calibration, Windows(model, calibration.header.window, prompts))
    source = (
        watched_stream(watching.windows) if engine is None else engine.watched(watching.windows)
    )
    with source:
        yield watching
