"""The dose-response of one branch: coherence, flips and reach against gain, with the edges of its
window.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import plotly.graph_objects as go

from fulcra.report.figures.style import (
    CEILING,
    EDGE_KEYS,
    GRAY,
    REACH,
    SKY,
    TRIGGER,
    Key,
    axis_anchor,
    figure,
    gain_axis,
    rate_axis,
)
from fulcra.report.notation import counted
from fulcra.report.sample_sizes import sizes

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch, Rung


class _Curve(NamedTuple):
    key: str
    prompts: str
    label: str
    color: str
    dash: str


_CURVES = (
    _Curve("coherent", "generic", "coherent on generic text", CEILING, "solid"),
    _Curve("flip_selection", "selection", "flip, selection", SKY, "dot"),
    _Curve("flip_confirmation", "confirmation", "flip, confirmation", TRIGGER, "solid"),
    _Curve("reach", "confirmation", "strict reach", REACH, "solid"),
)
DOSE_KEYS = (
    tuple(Key("┅┅" if c.dash == "dot" else "━━", c.color, c.label) for c in _CURVES) + EDGE_KEYS
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
    lines = [_line(audit, curve, row) for row in _CURVES]
    marks = [_edge(*row) for row in edges]
    return figure(
        [*lines, *marks, axis_anchor(gains)],
        height=380,
        margin={"l": 56, "r": 16, "t": 52, "b": 44},
        xaxis=axis,
        xaxis2=_alignment_axis(curve, axis["range"]),
        yaxis=rate_axis("rate") | {"range": [-0.03, 1.1]},
        hovermode="x unified",
        shapes=[_HALF],
    )


def _line(audit: "AuditResult", curve: Sequence["Rung"], drawn: _Curve) -> go.Scatter:
    rates = [getattr(point, drawn.key) for point in curve]
    numbers = [getattr(sizes(audit, point), drawn.prompts) for point in curve]
    return go.Scatter(
        x=[point.gain for point in curve],
        y=rates,
        mode="lines+markers",
        name=drawn.label,
        line={"color": drawn.color, "dash": drawn.dash, "width": 2},
        marker={"size": 5},
        text=[counted(*pair) for pair in zip(rates, numbers, strict=True)],
        hovertemplate="%{text}",
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
