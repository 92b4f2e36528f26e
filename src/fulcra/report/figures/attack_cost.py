"""The attack-cost context: what other attacks achieve on the same prompts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from fulcra.report.figures.style import BLUE, ORANGE, REACH, figure, rate_axis, words
from fulcra.report.notation import attack, counted

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult
    from fulcra.protocol.results.summary import Attack


def attack_cost(audit: "AuditResult") -> go.Figure:
    """Horizontal bars, first attack on top: flip rate with its interval, then strict reach."""
    context = audit.context
    rates, reached = [row.rate for row in context], [row.reach for row in context]
    bars = [
        _bars(context, rates, "coherent flip", BLUE) | {"error_x": _error(context)},
        _bars(context, reached, "strict reach", REACH),
    ]
    return figure(
        [go.Bar(**bar) for bar in bars],
        height=56 * len(context) + 40,
        margin={"l": 128, "r": 16, "t": 4, "b": 32},
        barmode="group",
        bargap=0.35,
        xaxis=rate_axis() | {"range": [0, 1.04]},
        yaxis={"type": "category", "autorange": "reversed", "ticks": ""},
    )


def _bars(
    context: Sequence["Attack"], values: Sequence[float | None], label: str, color: str
) -> dict[str, object]:
    return {
        "y": [words(attack(row.attack)) for row in context],
        "x": [value or 0.0 for value in values],
        "name": label,
        "orientation": "h",
        "marker": {"color": color},
        # a word in place of a bar that is not known: an empty place would read as zero
        "text": ["not measured" if value is None else "" for value in values],
        "textposition": "outside",
        "cliponaxis": False,
        "customdata": [counted(value, row.n) for value, row in zip(values, context, strict=True)],
        "hovertemplate": f"{label} %{{customdata}}<extra></extra>",
    }


def _error(context: Sequence["Attack"]) -> dict[str, object]:
    above = [_gap(row.rate, row.high) for row in context]
    below = [_gap(row.low, row.rate) for row in context]
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
