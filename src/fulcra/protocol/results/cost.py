"""What an audit would cost: rollouts, tokens, time and memory, in all and step by step."""

from typing import ClassVar

from fulcra.protocol.results.audit import SettingsEntry
from fulcra.protocol.results.base import Provenance, Result, Value


class Cost(Value):
    """The expected cost of one step: seconds of wall and CPU time, bytes of memory at most."""

    rollouts: int
    tokens: int
    seconds: float
    cpu_seconds: float
    bytes: int


class CostResult(Result):
    """What an audit would cost on this machine; its sums are those of its steps.

    `concessions`: what it gives up to fit the minutes it may take.
    """

    file: ClassVar[str] = "cost.json"

    schema_version: int
    provenance: Provenance
    model: str
    behavior: str
    settings: SettingsEntry
    threads: int
    rollouts: int
    tokens: int
    seconds: float
    cpu_seconds: float
    bytes: int
    steps: dict[str, Cost]
    concessions: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """The sums in one line."""
        return (
            f"{self.model}, {self.behavior}: {self.rollouts:,} rollouts, {self.tokens:,} tokens,"
            f" {self.seconds:.0f} s",
        )
