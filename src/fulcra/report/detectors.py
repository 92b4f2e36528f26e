"""Detectors in the terminal: every figure with its interval, 80 columns."""

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fulcra.report.notation import number, rate

if TYPE_CHECKING:
    from fulcra.protocol.results.detector import DetectorResult, Estimate, Figures, PromptSet

_LABELS = ("AUROC", "acc", "F1", "prec", "rec", "TPR@1%", "TPR@5%")


def detector_table(result: "DetectorResult") -> Group:
    """The renderable of `fulcra detect`: a line a detector, intervals below the figures."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False)
    table.add_column("detector", overflow="fold", max_width=24)
    for label in _LABELS:
        table.add_column(label, justify="right", no_wrap=True)
    for detector in result.detectors:
        name = f"{detector.detector}\n{detector.detail}"
        table.add_row(*(Text(cell) for cell in (name, *_cells(detector))))
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


def _cells(detector: "Figures") -> tuple[str, ...]:
    """The figures in the order of their labels."""
    area = detector.auroc
    between = f"{number(area.low)}\N{EN DASH}{number(area.high)}"
    rates = (
        detector.accuracy,
        detector.f1,
        detector.precision,
        detector.recall,
        detector.tpr_at_1,
        detector.tpr_at_5,
    )
    return (f"{number(area.value)}\n{between}", *map(_rate, rates))


def _rate(estimate: "Estimate") -> str:
    low, high = rate(estimate.low).rstrip("%"), rate(estimate.high)
    return f"{rate(estimate.value)}\n{low}\N{EN DASH}{high}"
