"""The attack-cost context: what other attacks achieve on the same prompts."""

from typing import Any

import plotly.graph_objects as go

from fulcra.report.figures.style import BLUE, ORANGE, REACH, figure, rate_axis, words
from fulcra.report.notation import attack
from fulcra.report.reading import Audit


def attack_cost(audit: Audit) -> go.Figure:
    """Horizontal bars, the flip rate with its interval above the strict reach, first attack on
    top.
    """
    context = audit["context"]
    names = [words(attack(row["attack"])) for row in context]
    bars = [
        _bars(names, context, "rate", "coherent flip", BLUE) | {"error_x": _error(context)},
        _bars(names, context, "reach", "strict reach", REACH),
    ]
    return figure(
        [go.Bar(**bar) for bar in bars],
        height=56 * len(context) + 40,
        margin={"l": 128, "r": 16, "t": 4, "b": 32},
        barmode="group",
        bargap=0.35,
        xaxis=rate_axis() | {"range": [0, 1.04]},
        yaxis={"autorange": "reversed", "ticks": ""},
    )


def _bars(
    names: list[str], context: list[dict[str, Any]], key: str, label: str, color: str
) -> dict[str, Any]:
    values = [row.get(key) for row in context]
    bars = {
        "y": names,
        "x": [value or 0.0 for value in values],
        "name": label,
        "orientation": "h",
        "marker": {"color": color},
    }
    return bars | _absent(values) | {"hovertemplate": f"{label} %{{x:.0%}}<extra></extra>"}


def _absent(values: list[float | None]) -> dict[str, Any]:
    """A word in place of a bar that is not known: an empty place would read as zero."""
    return {
        "text": ["not measured" if value is None else "" for value in values],
        "textposition": "outside",
        "cliponaxis": False,
    }


def _error(context: list[dict[str, Any]]) -> dict[str, Any]:
    above = [_gap(row.get("rate"), row.get("high")) for row in context]
    below = [_gap(row.get("low"), row.get("rate")) for row in context]
    return {
        "type": "data",
        "symmetric": False,
        "array": above,
        "arrayminus": below,
        "color": ORANGE,
        "thickness": 2,
        "width": 4,
    }


def _gap(low: float | None, high: float | None) -> float | None:
    return None if low is None or high is None else high - low
