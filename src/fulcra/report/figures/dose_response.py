"""The dose-response of one branch: coherence, flips and reach against gain, with the edges of its
window.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from fulcra.report.figures.style import (
    CEILING,
    EDGE_KEYS,
    GRAY,
    REACH,
    SKY,
    TRIGGER,
    Key,
    figure,
    gain_axis,
    rate_axis,
)

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch, Rung


_CURVES = (
    ("coherent", "coherent on generic text", CEILING, "solid"),
    ("flip_selection", "flip, selection", SKY, "dot"),
    ("flip_confirmation", "flip, confirmation", TRIGGER, "solid"),
    ("reach", "strict reach", REACH, "solid"),
)
DOSE_KEYS = (
    tuple(Key("┅┅" if dash == "dot" else "━━", color, label) for _, label, color, dash in _CURVES)
    + EDGE_KEYS
)
_SPACING = 0.14  # decades between two alignment labels: they would overlap on a narrow screen
#: Half of the rollouts: what an open branch has to flip.
_HALF = {
    "type": "line",
    "xref": "paper",
    "x0": 0,
    "x1": 1,
    "y0": 0.5,
    "y1": 0.5,
    "line": {"color": GRAY, "width": 1, "dash": "dash"},
}


def dose_response(audit: "AuditResult", entry: "Branch") -> go.Figure:
    """Rates against gain (log axis, alignment above), with the predicted and measured edges as
    vertical lines.
    """
    curve = entry.curve
    gains = [point.gain for point in curve]
    edges = _edges(audit, entry)
    axis = gain_axis([*gains, *(gain for _, gain, _, _ in edges)])
    lines = [_line(curve, *row) for row in _CURVES]
    marks = [_edge(*row) for row in edges]
    return figure(
        [*lines, *marks, _alignment_anchor(gains)],
        height=380,
        margin={"l": 56, "r": 16, "t": 52, "b": 44},
        xaxis=axis,
        xaxis2=_alignment_axis(curve, axis["range"]),
        yaxis=rate_axis("rate") | {"range": [-0.03, 1.1]},
        hovermode="x unified",
        shapes=[_HALF],
    )


def _line(curve: Sequence["Rung"], key: str, label: str, color: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=[point.gain for point in curve],
        y=[getattr(point, key) for point in curve],
        mode="lines+markers",
        name=label,
        line={"color": color, "dash": dash, "width": 2},
        marker={"size": 5},
        hovertemplate="%{y:.0%}",
    )


def _edges(audit: "AuditResult", entry: "Branch") -> list[tuple[str, float, str, bool]]:
    edges = (
        ("trigger, predicted", entry.trigger_predicted, TRIGGER, False),
        ("trigger, measured", entry.trigger(audit.behavior.horizon), TRIGGER, True),
        ("ceiling, predicted", entry.ceiling_predicted, CEILING, False),
        ("ceiling, measured", entry.ceiling_measured, CEILING, True),
    )
    return [
        (label, edge.gain, color, filled)
        for label, edge, color, filled in edges
        if edge and edge.gain
    ]


def _edge(label: str, gain: float, color: str, filled: bool) -> go.Scatter:
    symbol = "circle" if color == TRIGGER else "diamond"
    return go.Scatter(
        x=[gain, gain],
        y=[-0.03, 1.06],
        mode="lines+markers",
        name=label,
        line={"color": color, "width": 1.3, "dash": "solid" if filled else "dash"},
        marker={
            "size": [0, 9],
            "symbol": symbol if filled else f"{symbol}-open",
            "line": {"width": 1.5, "color": color},
        },
        hoverinfo="skip",
    )


def _alignment_axis(curve: Sequence["Rung"], span: list[float]) -> dict[str, object]:
    ticks: list[tuple[float, float]] = []
    for point in curve:
        apart = not ticks or math.log10(point.gain / ticks[-1][0]) >= _SPACING
        if apart and point.alignment is not None:
            ticks.append((point.gain, point.alignment))
    labels = {
        "tickvals": [gain for gain, _ in ticks],
        "ticktext": [f"{alignment:.2f}" for _, alignment in ticks],
    }
    place = {
        "type": "log",
        "overlaying": "x",
        "side": "top",
        "range": span,
        "showgrid": False,
        "zeroline": False,
    }
    return labels | place | {"title": {"text": "alignment cos(r, v)", "standoff": 6}}


def _alignment_anchor(gains: Sequence[float]) -> go.Scatter:
    """A trace without marks: plotly draws an axis only where something refers to it."""
    return go.Scatter(
        x=list(gains), y=[None] * len(gains), xaxis="x2", showlegend=False, hoverinfo="skip"
    )
