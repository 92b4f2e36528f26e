"""Every kind of intervention at matched change of behavior, as its file holds it."""

from typing import ClassVar

from fulcra.protocol.results.base import Provenance, Result, Timing, Value


class InterventionRow(Value):
    """What one kind of intervention achieves and costs on one model; "none" is no intervention.

    `matched`: its option reaches the target on the selection prompts. Rates are of the confirmation
    prompts, with a 95 % Wilson interval.
    """

    model: str
    behavior: str
    intervention: str
    site: str
    dose: float
    matched: bool
    selection_rate: float | None
    behavior_rate: float | None
    low: float
    high: float
    n: int
    reach: float | None
    collapse: float | None
    quality: float | None
    generic_quality: float | None
    surprise: float | None
    accuracy: float | None
    over_refusal: float | None
    kl_per_token: float


class Weights(Value):
    """A model by its name and the hash of its weights."""

    model: str
    model_sha256: str


class ModelProvenance(Provenance, Weights):
    """Versions and hashes under which the rows of one model were made, the model first."""


class InterventionsResult(Result):
    """The comparison of interventions: rows model by model, no intervention first in each."""

    file: ClassVar[str] = "interventions.json"

    schema_version: int
    target: float
    rows: tuple[InterventionRow, ...]
    provenance: tuple[ModelProvenance, ...]
    timing: Timing

    def pages(self) -> dict[str, str]:
        """The tables of all models, as Markdown."""
        from fulcra.report.interventions import interventions_markdown

        return {"interventions.md": interventions_markdown(self)}

    def lines(self) -> tuple[str, ...]:
        """The models, the kinds compared, and how many were matched."""
        models = dict.fromkeys(row.model for row in self.rows)
        kinds = dict.fromkeys(row.intervention for row in self.rows)
        matched = sum(row.matched for row in self.rows)
        return (
            f"models: {', '.join(models)}",
            f"interventions: {', '.join(kinds)}",
            f"matched at {self.target:.0%}: {matched} of {len(self.rows) - len(models)}",
        )
