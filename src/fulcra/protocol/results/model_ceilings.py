"""Ceilings of one model, predicted before they were measured, as model_ceilings.json holds them."""

from typing import ClassVar

from fulcra.protocol.results.base import ModelEntry, Provenance, Result, Timing, Value
from fulcra.protocol.results.validation import CeilingRow, CeilingScore, MedianNats, NoiseFloor


class CeilingPlan(Value):
    """What was drawn: neurons a layer on both poles, tokens of a rollout, openings, seed."""

    neurons: int
    horizon: int
    openings: int
    seed: int


class ModelCeilings(Result):
    """Every branch with its ceiling by each method and as measured; errors, noise, divergence.

    `predictions_sha256` is the hash of what was predicted, written before the first dosed rollout.
    `kl_at_ceiling` is the mean divergence a token at each measured ceiling, `kl_95` its 95th
    percentile over tokens [nats].
    """

    file: ClassVar[str] = "model_ceilings.json"

    schema_version: int
    provenance: Provenance
    model: ModelEntry
    plan: CeilingPlan
    predictions_sha256: str
    scores: dict[str, CeilingScore]
    noise_floor: NoiseFloor
    kl_at_ceiling: MedianNats
    kl_95: MedianNats
    rows: tuple[CeilingRow, ...]
    timing: Timing

    def lines(self) -> tuple[str, ...]:
        """The model, each method's error beside the noise floor, and the divergence there."""
        floor, nats = self.noise_floor.floor, self.kl_at_ceiling.median
        errors = (f"{name} {_digits(score.mae)}" for name, score in self.scores.items())
        return (
            f"{self.model.name}: {len(self.rows)} ceilings, mean error in cos {', '.join(errors)}",
            f"noise floor {_digits(floor)}; KL at the ceiling {_digits(nats)} nats a token,"
            f" 95th percentile {_digits(self.kl_95.median)}",
            f"predictions {self.predictions_sha256[:16]} before the first dosed rollout",
        )


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
