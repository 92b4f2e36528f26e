"""One neuron as a detector beside others, as `fulcra detect` prints it."""

from typing import ClassVar

from fulcra.protocol.results.base import ModelEntry, Provenance, Result, Value


class DetectorEstimate(Value):
    """A figure with its 95 % interval over prompts; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class PromptSet(Value):
    """Where labelled prompts come from, and how many there are of either class."""

    name: str
    positive: int
    negative: int


class DetectorFigures(Value):
    """One detector, what it reads, its threshold, and every figure on the scored prompts.

    A prompt is called positive from the threshold on; `auroc` and both true-positive rates, at
    false-positive rates of 1 and 5 %, need none.
    """

    detector: str
    detail: str
    threshold: float
    auroc: DetectorEstimate
    accuracy: DetectorEstimate
    f1: DetectorEstimate
    precision: DetectorEstimate
    recall: DetectorEstimate
    tpr_at_1: DetectorEstimate
    tpr_at_5: DetectorEstimate


class DetectorResult(Result):
    """A neuron, a probe, a bag of words and guards as detectors of the same prompts."""

    file: ClassVar[str] = "detector.json"

    schema_version: int
    command: str
    model: ModelEntry
    neuron: str
    fit: PromptSet
    score: PromptSet
    seed: int
    detectors: tuple[DetectorFigures, ...]
    provenance: Provenance

    def lines(self) -> tuple[str, ...]:
        """Neuron and model, then the AUROC of the first four detectors."""
        areas = [
            f"{each.detector}: AUROC {each.auroc.value:.3g}"
            for each in self.detectors[:4]
            if each.auroc.value is not None
        ]
        return (f"{self.neuron} of {self.model.name}, {self.score.name}", *areas)
