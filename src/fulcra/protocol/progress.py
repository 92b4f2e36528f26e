"""Steps of a study, shown while they run, and timed; what they meet is remembered."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from fulcra.engines.incidents import Incident, heard_by
from fulcra.protocol.incidents import Incidents
from fulcra.protocol.results.base import Timing


class Progress(Protocol):
    """Told what step runs and how far it is; the command line draws it."""

    def begin(self, step: str, total: int) -> None: ...

    def advance(self, done: int) -> None: ...


class Silent:
    """Progress that nobody watches: every step passes in silence."""

    def begin(self, step: str, total: int) -> None:
        """Show nothing of a step that begins."""

    def advance(self, done: int) -> None:
        """Show nothing of what is done."""


@dataclass(slots=True)
class Clock:
    """Wall seconds by step, and what was met: all of an audit that may differ between two runs."""

    progress: Progress
    steps: dict[str, float] = field(default_factory=dict)
    wall: float = field(default_factory=time.monotonic)
    cpu: float = field(default_factory=lambda: cpu_seconds())
    incidents: Incidents = field(default_factory=Incidents)

    @contextmanager
    def step(self, name: str, total: int) -> Iterator[Progress]:
        """One step of the audit, shown and timed; what it meets is remembered."""

        def hear(incident: Incident) -> None:
            self.incidents.hear(name, incident)

        start = time.monotonic()
        self.progress.begin(name, total)
        with heard_by(hear):
            yield self.progress
        self.steps[name] = time.monotonic() - start

    def timing(self) -> Timing:
        """What the steps took so far."""
        return Timing(
            cpu_seconds=cpu_seconds() - self.cpu,
            wall_seconds=time.monotonic() - self.wall,
            steps=dict(self.steps),
        )


def cpu_seconds() -> float:
    """CPU seconds of this process so far, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
