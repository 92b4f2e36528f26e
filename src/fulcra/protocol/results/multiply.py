"""What multiplying sets of neurons does, beside random sets of the same layers: multiply.json."""

from typing import ClassVar, Literal

from fulcra.protocol.results.base import ModelEntry, Named, Provenance, Result, Timing, Value

Pole = Literal["both", "+", "-"]


class SetEntry(Value):
    """One of paper B's sets: its size, its pole, its neurons."""

    set: str
    pole: Pole
    neurons: tuple[str, ...]


class MultiplierRow(Value):
    """Rates of one set under one multiplier, and those of random sets of the same layers.

    quality is the mean distinct n-gram ratio of scored replies; surprise the mean share of their
    tokens above the coherence standard's level under the reference model; nats the mean surprise a
    token of the replies under the clean model itself, which finds a flip surprising too. None where
    nothing was scored.
    """

    set: str
    pole: Pole
    neurons: int
    multiplier: float
    behavior_rate: float
    behavior_low: float
    behavior_high: float
    flip_rate: float
    flip_low: float
    flip_high: float
    reach: float
    collapse: float
    quality: float | None
    surprise: float | None
    nats: float | None
    n: int
    random_nats: float | None
    random_behavior_rate: float
    random_flip_rate: float
    random_quality: float | None
    random_surprise: float | None


class MultiplyResult(Result):
    """Every set under every multiplier: the content of multiply.json."""

    file: ClassVar[str] = "multiply.json"

    schema_version: int = 1
    model: ModelEntry
    behavior: Named
    code: str
    seed: int
    random_sets: int
    sets: tuple[SetEntry, ...]
    rows: tuple[MultiplierRow, ...]
    provenance: Provenance | None = None
    timing: Timing

    def lines(self) -> tuple[str, ...]:
        """Model and behavior, how much was swept, and the row that flips most."""
        most = max(self.rows, key=lambda row: row.flip_rate)
        return (
            f"{self.model.name}, {self.behavior.name}: {len(self.sets)} sets of neurons,"
            f" {len(self.rows)} rows",
            f"most flips: {most.set} ({most.pole}) x{most.multiplier:g}: {most.flip_rate:.2f},"
            f" random sets {most.random_flip_rate:.2f}",
        )
