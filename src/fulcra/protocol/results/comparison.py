"""Models beside each other, as comparison.json holds them."""

from typing import ClassVar

from pydantic import ConfigDict, Field

from fulcra.protocol.results.base import ModelEntry, Provenance, Result, Value
from fulcra.protocol.results.detector import DetectorFigures, PromptSet
from fulcra.screens.scores import Units
from fulcra.store import COMPARISON
from fulcra.types import Outcome


class CompareSize(Value):
    """What was compared: the fixed set size, the seed, the choices, the shares of all neurons."""

    top_k: int
    seed: int
    ablate: bool
    keep_universal: bool
    shares: tuple[float, ...]


class DepthShares(Value):
    """Shares of a set that lie in the final three layers, the final quarter, the final tenth."""

    final_three: float
    final_quarter: float
    final_tenth: float


class Profile(Value):
    """Where a set lies in depth, beside neurons at random; `layers` counts it layer by layer."""

    model: str
    units: Units
    set: str
    size: int
    profile: DepthShares
    chance: DepthShares
    layers: tuple[int, ...]


class SharedNeurons(Value):
    """How many neurons the sets of two models share, and how many on the same pole."""

    one: str
    other: str
    units: Units
    set: str
    size: int
    shared: int
    expected: float
    p: float
    same_pole: int


class NoOverlap(Value):
    """Why the sets of two models cannot be compared."""

    one: str
    other: str
    refused: str


class Within(Value):
    """What was done inside which model; its JSON key is `in`, no name in Python."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)


class Ablation(Within):
    """What the prompts become in a model with a set of some model's neurons ablated.

    `set_of` is that model, "random" for neurons alike in depth, None where nothing is ablated.
    """

    set_of: str | None
    set: str
    size: int
    neurons: tuple[str, ...]
    within: str = Field(validation_alias="in", serialization_alias="in")
    rates: dict[Outcome, float]
    n: int


class Reader(Within):
    """Whose best neuron is read in which model."""

    neuron: str
    of: str
    within: str = Field(validation_alias="in", serialization_alias="in")


class BorrowedDetector(DetectorFigures, Reader):
    """The best neuron of one model as a detector in another."""


class NoDetector(Reader):
    """Why a model's best neuron cannot be read in another."""

    refused: str


class BehaviorComparison(Value):
    """One behavior in every model: sets, overlaps, ablations, borrowed detectors."""

    name: str
    sha256: str
    labels: dict[Outcome, str]
    fit: PromptSet
    score: PromptSet
    horizons: dict[str, int]
    universal: dict[str, tuple[str, ...]]
    sets: tuple[Profile, ...]
    overlaps: tuple[SharedNeurons | NoOverlap, ...]
    ablations: tuple[Ablation, ...]
    detectors: tuple[BorrowedDetector | NoDetector, ...]

    @property
    def shared(self) -> tuple[SharedNeurons, ...]:
        """The overlaps of models of one shape."""
        return tuple(pair for pair in self.overlaps if isinstance(pair, SharedNeurons))

    @property
    def incomparable(self) -> tuple[NoOverlap, ...]:
        """The pairs of models of different shapes."""
        return tuple(pair for pair in self.overlaps if isinstance(pair, NoOverlap))


class ComparisonResult(Result):
    """Two or more models beside each other, behavior by behavior."""

    file: ClassVar[str] = f"{COMPARISON}.json"

    schema_version: int
    command: str
    models: tuple[ModelEntry, ...]
    settings: CompareSize
    behaviors: tuple[BehaviorComparison, ...]
    provenance: Provenance

    def pages(self) -> dict[str, str]:
        """The Markdown of all tables."""
        from fulcra.report.comparison import comparison_markdown

        return {f"{COMPARISON}.md": comparison_markdown(self)}

    def lines(self) -> tuple[str, ...]:
        """The models, then the most shared set of the first four behaviors."""
        names = ", ".join(model.name for model in self.models)
        return (names, *(_most_shared(behavior) for behavior in self.behaviors[:4]))


def _most_shared(behavior: BehaviorComparison) -> str:
    """The overlap in one line that chance explains least."""
    if not behavior.shared:
        return f"{behavior.name}: no two models of one shape"
    best = min(behavior.shared, key=lambda pair: pair.p)
    return (
        f"{behavior.name}: {best.one} and {best.other} share {best.shared} of {best.size}"
        f" ({best.set}), {best.expected:.2g} by chance"
    )
