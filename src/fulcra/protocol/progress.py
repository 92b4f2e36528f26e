"""Steps of a study: shown while they run, timed, the only part of a result that differs between two
runs.
"""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol


class Progress(Protocol):
    """Told what step runs and how far it is; the command line draws it."""

    def begin(self, step: str, total: int) -> None: ...

    def advance(self, done: int) -> None: ...


class Silent:
    """No progress at all."""

    def begin(self, step: str, total: int) -> None:
        """Nothing."""

    def advance(self, done: int) -> None:
        """Nothing."""


@dataclass(slots=True)
class Clock:
    """Wall seconds by step; the only part of an audit that differs between two runs."""

    progress: Progress
    steps: dict[str, float] = field(default_factory=dict)
    wall: float = field(default_factory=time.monotonic)
    cpu: float = field(default_factory=lambda: cpu_seconds())

    @contextmanager
    def step(self, name: str, total: int) -> Iterator[Progress]:
        """One step of the audit, shown and timed."""
        start = time.monotonic()
        self.progress.begin(name, total)
        yield self.progress
        self.steps[name] = time.monotonic() - start

    def timing(self) -> dict[str, Any]:
        """The timing block of audit.json."""
        return {
            "cpu_seconds": cpu_seconds() - self.cpu,
            "wall_seconds": time.monotonic() - self.wall,
            "steps": self.steps,
        }


def cpu_seconds() -> float:
    """CPU seconds of this process so far, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
