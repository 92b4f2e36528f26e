"""What a recipe does besides, as its file holds it."""

from typing import ClassVar

from fulcra.protocol.results.base import ModelEntry, Provenance, Result, Timing, Value
from fulcra.protocol.results.judging import Disagreement, JudgeAgreement, JudgeEntry, Paired, Share


class RecipeEntry(Value):
    """The recipe whose effects were measured."""

    name: str
    sha256: str
    edits: tuple[str, ...]


class SidedOutcomes(Value):
    """The outcomes of both sides at one horizon: by judge, then clean and edited."""

    horizon: int
    judges: dict[str, dict[str, Share]]


class SetEffects(Value):
    """One set of prompts: figures by the run, figures by every judge, and how far these agree."""

    name: str
    sha256: str
    sensitive: bool
    horizon: int
    labels: dict[str, str]
    completions: int
    figures: dict[str, Paired]
    judges: tuple[JudgeEntry, ...]
    outcomes: tuple[SidedOutcomes, ...]
    agreement: tuple[JudgeAgreement, ...]
    disagreements: tuple[Disagreement, ...]


class EffectsResult(Result):
    """Every figure with and without a recipe: of sets, of other text, of tasks; no text."""

    file: ClassVar[str] = "effects.json"

    schema_version: int
    recipe: RecipeEntry
    model: ModelEntry
    sets: tuple[SetEffects, ...]
    figures: dict[str, Paired]
    kl_per_token: float
    provenance: Provenance
    tasks: dict[str, Paired]
    timing: Timing

    def lines(self) -> tuple[str, ...]:
        """The edits, the flips of the first set, and the divergence of other text."""
        first = self.sets[0]
        flips = first.figures["behavior_rate"]
        sides = ("-" if rate is None else f"{rate:.2f}" for rate in (flips.clean, flips.edited))
        return (
            f"{self.model.name}: {', '.join(self.recipe.edits)}",
            f"{first.name}: flips {' -> '.join(sides)} (n = {flips.n})",
            f"KL on generic text {self.kl_per_token:.3f} nats a token",
            f"{len(self.sets)} sets, {len(self.tasks)} tasks",
        )
