"""The progress of a study in the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

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


class Bars:
    """Progress of a study as rich bars with time left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begin(self, step: str, total: int) -> None:
        """Finish the running step and show the next; total 0 is a step without a count."""
        self.close()
        self._task = self._progress.add_task(step, total=total or None)

    def advance(self, done: int) -> None:
        """More of the running step is done."""
        if self._task is not None:
            self._progress.advance(self._task, done)

    def close(self) -> None:
        """Mark the running step as finished."""
        if self._task is not None:
            task = next(t for t in self._progress.tasks if t.id == self._task)
            total = task.total or max(task.completed, 1)
            self._progress.update(self._task, total=total, completed=total)


@contextmanager
def bars(hidden: bool) -> Iterator[Bars | Silent]:
    """Bars on stderr while a study runs; silent where they are not wanted or nobody watches."""
    console = Console(stderr=True)
    if hidden or not console.is_terminal:
        yield Silent()
        return
    columns = (
        TextColumn("{task.description:>14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        shown = Bars(progress)
        yield shown
        shown.close()
