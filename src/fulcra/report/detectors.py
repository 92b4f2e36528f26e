"""Detectors in the terminal: every figure with its interval, 80 columns."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fulcra.report.notation import number, rate

FIGURES = {
    "auroc": "AUROC",
    "accuracy": "acc",
    "f1": "F1",
    "precision": "prec",
    "recall": "rec",
    "tpr_at_1": "TPR@1%",
    "tpr_at_5": "TPR@5%",
}


def detector_table(found: Mapping[str, Any]) -> Group:
    """The renderable of `fulcra detect`: the sets in words, a line a detector, intervals below the
    figures.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False)
    table.add_column("detector", overflow="fold", max_width=24)
    for label in FIGURES.values():
        table.add_column(label, justify="right", no_wrap=True)
    for one in found["detectors"]:
        table.add_row(
            Text(f"{one['detector']}\n{one['detail']}"),
            *(Text(_cell(one[key], key)) for key in FIGURES),
        )
    sets = [
        f"{which} on {_counts(found[key])}"
        for which, key in (("thresholds and weights", "fit"), ("figures", "score"))
    ]
    return Group(
        Text(f"{found['model']['name']} · {found['neuron']}", "dim"),
        Text("\n".join(sets), "dim"),
        "",
        table,
    )


def _counts(entry: Mapping[str, Any]) -> str:
    return f"{entry['name']}: {entry['positive']} positive, {entry['negative']} negative prompts"


def _cell(figure: Mapping[str, Any], key: str) -> str:
    if key == "auroc":
        return (
            f"{number(figure['value'])}\n{number(figure['low'])}\N{EN DASH}{number(figure['high'])}"
        )
    shown = [rate(figure[part]) for part in ("value", "low", "high")]
    return f"{shown[0]}\n{shown[1].rstrip('%')}\N{EN DASH}{shown[2]}"
