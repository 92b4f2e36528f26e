"""One neuron's window: where it stands, every predicted edge, and what was measured of it."""

from typing import ClassVar

from fulcra.protocol.results.audit import AuditResult, Branch, Predicted
from fulcra.protocol.results.base import ModelEntry, Provenance, Result, Value
from fulcra.types import Verdict

PAGE = "window.html"


class CurvePoint(Value):
    """The saturation curve at one gain; the range is over positions."""

    gain: float
    alignment: float
    alignment_low: float
    alignment_high: float


class WindowResult(Result):
    """The control window of one branch, predicted and, unless only that was asked, measured."""

    file: ClassVar[str] = "window.json"

    schema_version: int
    provenance: Provenance
    model: ModelEntry
    neuron: str
    behavior: str
    budget: float
    residual_norm: float
    alignment0: float
    cap_alignment: float | None
    curve: tuple[CurvePoint, ...]
    ceilings: tuple[Predicted, ...]
    triggers: tuple[Predicted, ...]
    predicted_margin: float | None
    predicted_verdict: Verdict
    audit: AuditResult | None = None

    @property
    def measured(self) -> Branch | None:
        """What was measured on the branch; None with predictions alone."""
        return None if self.audit is None else self.audit.neurons[0]

    def pages(self) -> dict[str, str]:
        """The page of the window."""
        from fulcra.report.window import render_window

        return {PAGE: render_window(self)}

    def lines(self) -> tuple[str, ...]:
        """The verdict, and the first predicted edges."""
        from fulcra.report.window import verdict_line

        edges = [f"{edge.method} {edge.gain}" for edge in (*self.ceilings, *self.triggers)]
        return (verdict_line(self), "edges in gains: " + ", ".join(edges))
