"""Detectors in the terminal: every figure with its interval, 80 columns."""

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from fulcra.report.notation import number, rate, rates, span
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.detector import (
        DetectorEstimate,
        DetectorFigures,
        DetectorResult,
        PromptSet,
    )

_LABELS = ("AUROC", "acc", "F1", "prec", "rec", "TPR@1%", "TPR@5%")


def detector_table(result: "DetectorResult") -> Group:
    """The renderable of `fulcra detect`: a line a detector, intervals below the figures."""
    rows = [
        (f"{detector.detector}\n{detector.detail}", *_cells(detector))
        for detector in result.detectors
    ]
    table = Sheet(("detector", *_LABELS), rows, numbers=_LABELS).rich()
    sets = (
        f"thresholds and weights on {_counts(result.fit)}",
        f"figures on {_counts(result.score)}",
    )
    return Group(
        Text(f"{result.model.name} · {result.neuron}", "dim"),
        Text("\n".join(sets), "dim"),
        "",
        table,
    )


def _counts(prompts: "PromptSet") -> str:
    return f"{prompts.name}: {prompts.positive} positive, {prompts.negative} negative prompts"


def _cells(detector: "DetectorFigures") -> tuple[str, ...]:
    """The figures in the order of their labels."""
    area = detector.auroc
    shares = (
        detector.accuracy,
        detector.f1,
        detector.precision,
        detector.recall,
        detector.tpr_at_1,
        detector.tpr_at_5,
    )
    return (f"{number(area.value)}\n{span(area)}", *map(_rate, shares))


def _rate(estimate: "DetectorEstimate") -> str:
    return f"{rate(estimate.value)}\n{rates(estimate)}"
