"""The progress of a study: bars in a terminal, a line a minute anywhere else."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fulcra.protocol.progress import Silent

#: Seconds between two lines where nobody watches bars.
EVERY = 60.0


@dataclass(slots=True)
class Share:
    """How much of the expected time is behind: `expected` holds the seconds of each step."""

    expected: Mapping[str, float] = field(default_factory=dict)
    behind: float = 0.0
    step: str = ""
    total: int = 0
    done: int = 0

    def begin(self, step: str, total: int) -> None:
        """The running step is over, and the next begins."""
        self.behind += self.expected.get(self.step, 0.0)
        self.step, self.total, self.done = step, total, 0

    def advance(self, done: int) -> None:
        """More of the running step is done."""
        self.done += done

    @property
    def seconds(self) -> float:
        """Expected seconds of what is done."""
        part = min(1.0, self.done / self.total) if self.total else 0.0
        return self.behind + part * self.expected.get(self.step, 0.0)


class Bars:
    """Progress of a study as rich bars with time left, one for the whole where it is expected."""

    def __init__(
        self, progress: Progress, expected: Mapping[str, float], notes: Sequence[str] = ()
    ) -> None:
        self._progress, self._share, self._notes = progress, Share(expected), list(notes)
        self._task: TaskID | None = None
        self._whole = None
        if expected:
            self._whole = progress.add_task("all steps", total=round(sum(expected.values())))

    def begin(self, step: str, total: int) -> None:
        """Finish the running step and show the next; total 0 is a step without a count.

        Notes are printed before the first.
        """
        while self._notes:
            self._progress.console.print(self._notes.pop(0), markup=False, soft_wrap=True)
        self.close()
        self._share.begin(step, total)
        self._task = self._progress.add_task(step, total=total or None)

    def advance(self, done: int) -> None:
        """More of the running step is done."""
        self._share.advance(done)
        if self._task is not None:
            self._progress.advance(self._task, done)
        self._show_whole()

    def close(self) -> None:
        """Mark the running step as finished."""
        if self._task is not None:
            task = next(t for t in self._progress.tasks if t.id == self._task)
            total = task.total or max(task.completed, 1)
            self._progress.update(self._task, total=total, completed=total)
        self._show_whole()

    def _show_whole(self) -> None:
        if self._whole is not None:
            self._progress.update(self._whole, completed=round(self._share.seconds))


class Lines:
    """Progress of a study as one line a minute: the step, its rate, the time left."""

    def __init__(
        self,
        write: Callable[[str], object],
        expected: Mapping[str, float],
        notes: Sequence[str] = (),
    ) -> None:
        self._write, self._share, self._notes = write, Share(expected), list(notes)
        self._start = self._step_start = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def begin(self, step: str, total: int) -> None:
        """The next step runs; total 0 is a step without a count. Notes come before the first."""
        while self._notes:
            self._write(self._notes.pop(0))
        self._step_start = time.monotonic()
        self._share.begin(step, total)

    def advance(self, done: int) -> None:
        """More of the running step is done."""
        self._share.advance(done)

    def close(self) -> None:
        """End the lines; what runs on is silent."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(EVERY):
            self._write(self.line())

    def line(self) -> str:
        """The step, how far it is, its rate, and the time left of all steps where it is known."""
        share, now = self._share, time.monotonic()
        parts = [f"{(now - self._start) / 60:.0f} min", share.step]
        if share.total:
            rate = share.done / max(now - self._step_start, 1e-9)
            parts.append(f"{share.done:,} of {share.total:,}, {rate:.3g} a second")
        whole = sum(share.expected.values())
        if share.seconds and whole:
            left = (whole - share.seconds) * (now - self._start) / share.seconds
            parts.append(f"about {left / 60:.0f} min left")
        return " · ".join(part for part in parts if part)


@contextmanager
def bars(
    hidden: bool, expected: Mapping[str, float] | None = None, notes: Sequence[str] = ()
) -> Iterator[Bars | Lines | Silent]:
    """Bars on stderr while a study runs, lines where that is no terminal, silence where `hidden`.

    `expected` holds the seconds that each step should take; `notes` are printed when the first
    begins, so after every refusal of bad input.
    """
    console = Console(stderr=True)
    if hidden:
        yield Silent()
        return
    if not console.is_terminal:
        lines = Lines(partial(typer.echo, err=True), expected or {}, notes)
        try:
            yield lines
        finally:
            lines.close()
        return
    columns = (
        TextColumn("{task.description:>14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        shown = Bars(progress, expected or {}, notes)
        yield shown
        shown.close()
