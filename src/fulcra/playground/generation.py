"""Texts made in a thread of their own: watched while they grow, ended within a token."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from threading import Condition, Event, Thread
from time import monotonic
from typing import Generic, TypeVar, final

Frame = TypeVar("Frame")
#: Seconds after which work that nobody looks at ends: longer than any pause of a page that lives.
PATIENCE = 10.0
#: Seconds between two looks at whether the work goes on.
LOOK = 0.2


@final
class Stop:
    """How the work is asked to end: `stopped` with what there is, `left` with nothing more."""

    def __init__(self) -> None:
        self._stopped, self._left = Event(), Event()

    @property
    def stopped(self) -> bool:
        """Whether the user has enough of it, or is gone."""
        return self._stopped.is_set() or self.left

    @property
    def left(self) -> bool:
        """Whether nobody is there any more: what is left to do is not worth doing."""
        return self._left.is_set()

    def stop(self) -> None:
        """Ask the work to end with what it has."""
        self._stopped.set()

    def leave(self) -> None:
        """Ask the work to end at once."""
        self._left.set()


@final
class Generation(Generic[Frame]):
    """One piece of work in its own thread; only its newest frame is kept.

    `work` yields frames and looks at `stop` between them. It ends also where nobody has looked for
    `patience` seconds: a page that is gone frees the model.
    """

    def __init__(
        self, work: Callable[[Stop], Generator[Frame]], stop: Stop, patience: float = PATIENCE
    ) -> None:
        self.stop, self._patience = stop, patience
        self._condition = Condition()
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._over, self._looked = False, monotonic()
        self._thread = Thread(target=self._run, args=(work,), name="playground", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the work has ended and everything it held is free."""
        return not self._thread.is_alive()

    def frames(self) -> Iterator[Frame]:
        """The frames as they come, the newest where several came; the last one always.

        Whatever the work raised is raised here.
        """
        try:
            while True:
                frame, over = self._next()
                if frame is not None:
                    yield frame
                if over:
                    break
        finally:
            self.stop.leave()
        if self._error is not None:
            raise self._error

    def wait(self, seconds: float) -> bool:
        """Whether the work ends within so many seconds."""
        self._thread.join(seconds)
        return self.over

    def _next(self) -> tuple[Frame | None, bool]:
        with self._condition:
            while self._frame is None and not self._over:
                self._looked = monotonic()
                self._condition.wait(LOOK)
            self._looked = monotonic()
            frame, self._frame = self._frame, None
            return frame, self._over

    def _run(self, work: Callable[[Stop], Generator[Frame]]) -> None:
        try:
            with closing(work(self.stop)) as frames:
                for frame in frames:
                    self._put(frame)
        except BaseException as error:
            self._error = error
        with self._condition:
            self._over = True
            self._condition.notify_all()

    def _put(self, frame: Frame) -> None:
        with self._condition:
            self._frame = frame
            self._condition.notify_all()
            unwatched = monotonic() - self._looked
        if unwatched > self._patience:
            self.stop.leave()


@final
class Sessions:
    """What runs for each open page: at most one generation a page."""

    def __init__(self) -> None:
        self._running: dict[str, Stop] = {}

    def begin(self, page: str) -> None:
        """Let a generation begin for a page, now or when it is its turn; an earlier one ends."""
        self.leave(page)
        self._running[page] = Stop()

    def of(self, page: str) -> Stop:
        """What the generation of a page looks at; of a page that is gone, left already."""
        stop = self._running.get(page)
        if stop is None:
            stop = Stop()
            stop.leave()
        return stop

    def stop(self, page: str) -> bool:
        """Ask the generation of a page to end with what it has; false where there is none."""
        if (running := self._running.get(page)) is not None:
            running.stop()
        return running is not None

    def end(self, page: str, stop: Stop) -> None:
        """Note that a generation of a page is over."""
        if self._running.get(page) is stop:
            del self._running[page]

    def leave(self, page: str) -> None:
        """End the generation of a page that is gone."""
        with suppress(KeyError):
            self._running.pop(page).leave()
