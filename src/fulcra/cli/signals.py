"""Signals that end a command as Ctrl-C does: in one line, and so that it can go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: The folders of the runs that this command left in their middle.
LEFT: list[Path] = []


@dataclass(slots=True)
class Stop:
    """The signal that ended a command; Ctrl-C unless another one came."""

    number: signal.Signals = signal.SIGINT

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that this signal ended: 130, 143 or 129."""
        return 128 + self.number

    @property
    def line(self) -> str:
        """What the user sees: which signal came, and how to go on where a run was left."""
        how = "interrupted" if self.number == signal.SIGINT else f"stopped by {self.number.name}"
        return f"fulcra: {how}{goes_on(' where this one stopped')}"


def goes_on(where: str = "") -> str:
    """How to go on with the run that was left; empty where none was."""
    return f"; the same command, with the same --out, goes on{where}" if LEFT else ""


@contextmanager
def stopping() -> Iterator[Stop]:
    """A block that SIGINT, SIGTERM and SIGHUP end by KeyboardInterrupt; a second one ends at once.

    A signal that is ignored, as `nohup` does, stays so.
    """
    stop = Stop()
    LEFT.clear()

    def act(number: int, frame: FrameType | None) -> None:
        stop.number = signal.Signals(number)
        for other in before:
            signal.signal(other, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {
            number: signal.getsignal(number)
            for number in STOPPING
            if signal.getsignal(number) is not signal.SIG_IGN
        }
    try:
        for number in before:
            signal.signal(number, act)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
