"""A gate's decision, limit by limit, as gate.json holds it."""

from typing import ClassVar, Literal

from fulcra.protocol.results.base import Provenance, Result, Value
from fulcra.store import GATE

Decision = Literal["pass", "fail", "cannot conclude"]
Bound = Literal["at most", "at least", "must hold"]


class PolicyEntry(Value):
    """The policy that a run was held to: its name and the hash of its limits."""

    name: str
    sha256: str


class GatedRun(Value):
    """A run by its folder's name, its model and behavior, its commitment and its seal's root."""

    folder: str
    model: str
    model_sha256: str
    behavior: str
    behavior_sha256: str
    commitment_sha256: str
    seal: str | None


class LimitEntry(Value):
    """One limit: what was wanted, what was measured with interval and n, and why it decides so.

    An end of the interval that lies beyond the ladder is None, and so is what has no interval.
    """

    limit: str
    bound: Bound
    wanted: float
    measured: float | None
    low: float | None
    high: float | None
    n: int
    decision: Decision
    why: str


class GateResult(Result):
    """One run held to one policy: every limit beside what was measured, and the decision."""

    file: ClassVar[str] = GATE

    schema_version: int
    policy: PolicyEntry
    run: GatedRun
    baseline: GatedRun | None
    decision: Decision
    limits: tuple[LimitEntry, ...]
    provenance: Provenance

    def of_decision(self, decision: Decision) -> tuple[LimitEntry, ...]:
        """The limits that decide so."""
        return tuple(entry for entry in self.limits if entry.decision == decision)

    def lines(self) -> tuple[str, ...]:
        """The decision, and why every limit decides so that does not pass."""
        head = f"{self.run.model}, {self.run.behavior}: {self.decision} by {self.policy.name}"
        against = (entry for entry in self.limits if entry.decision != "pass")
        return (head, *(f"{entry.limit}: {entry.why}" for entry in against))[:5]
