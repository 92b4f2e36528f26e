"""Committed against measured: every edge that lies on the ladder both times, in gains."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from fulcra.report.figures.style import CEILING, GRAY, TRIGGER, Key, figure, gain_axis, words
from fulcra.report.notation import gain
from fulcra.report.scorecard import EdgePair, edge_pairs

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult

COMMITTED_KEYS = (
    Key("●", TRIGGER, "trigger"),
    Key("◆", CEILING, "ceiling"),
    Key("┅┅", GRAY, "prediction = measurement"),
)


def committed(audit: "AuditResult") -> go.Figure:
    """Measured gain against the committed one, on two log axes with their diagonal."""
    triggers, ceilings = edge_pairs(audit, ceiling=False), edge_pairs(audit, ceiling=True)
    gains = _gains([*triggers, *ceilings]) or list(audit.settings.gains)
    axis = gain_axis(gains)
    ends = [min(gains) / 1.2, max(gains) * 1.2]
    return figure(
        [
            _diagonal(ends),
            _points(triggers, COMMITTED_KEYS[0], "circle"),
            _points(ceilings, COMMITTED_KEYS[1], "diamond"),
        ],
        height=420,
        margin={"l": 56, "r": 12, "t": 10, "b": 44},
        xaxis=axis | {"title": {"text": "committed gain", "standoff": 8}},
        yaxis=axis | {"title": {"text": "measured gain", "standoff": 8}},
        hovermode="closest",
    )


def _gains(pairs: Sequence[EdgePair]) -> list[float]:
    return [g for pair in pairs if pair.predicted and pair.measured for g in pair[1:] if g]


def _diagonal(ends: list[float]) -> go.Scatter:
    return go.Scatter(
        x=ends,
        y=ends,
        mode="lines",
        name=COMMITTED_KEYS[2].label,
        line={"color": GRAY, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
    )


def _points(pairs: Sequence[EdgePair], key: Key, symbol: str) -> go.Scatter:
    both = [pair for pair in pairs if pair.predicted and pair.measured]
    return go.Scatter(
        x=[pair.predicted for pair in both],
        y=[pair.measured for pair in both],
        mode="markers",
        name=key.label,
        marker={"size": 9, "symbol": symbol, "color": key.color, "opacity": 0.8},
        text=[
            f"{words(pair.name)}: {key.label} committed {gain(pair.predicted)}, measured"
            f" {gain(pair.measured)}"
            for pair in both
        ],
        hovertemplate="%{text}<extra></extra>",
    )
