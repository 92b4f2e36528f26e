"""The universal curve g / sqrt(1 + g^2) with the branches of one model on it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from fulcra.report.figures.style import CEILING, GRAY, SKY, TRIGGER, Key, figure, gain_axis, words
from fulcra.report.reading import measured, selected

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch, Measured

BAND_KEY = Key("▒▒", GRAY, "realised, 5\N{EN DASH}95% of positions")
CURVE_KEYS = (
    BAND_KEY,
    Key("━━", GRAY, "g / \N{SQUARE ROOT}(1 + g\N{SUPERSCRIPT TWO})"),
    Key("○", SKY, "branches at their rungs"),
    Key("●", TRIGGER, "trigger, measured"),
    Key("◆", CEILING, "ceiling, measured"),
)
_STEPS = 48


def universal_curve(audit: "AuditResult") -> go.Figure:
    """Alignment against gain: the curve, every branch at every rung, and the measured edges."""
    entries = measured(audit)
    ends = min(audit.settings.gains), max(audit.settings.gains)
    return figure(
        [
            *_realised(selected(audit)),
            _rungs(entries),
            _curve(*ends),
            _edges(
                [(e, e.trigger(audit.behavior.horizon)) for e in entries], CURVE_KEYS[3], "circle"
            ),
            _edges([(e, e.ceiling_measured) for e in entries], CURVE_KEYS[4], "diamond"),
        ],
        height=380,
        margin={"l": 52, "r": 12, "t": 10, "b": 44},
        xaxis=gain_axis(list(ends)),
        yaxis={"title": {"text": "alignment cos(r, v)"}, "zeroline": False},
        hovermode="closest",
    )


def _curve(low: float, high: float) -> go.Scatter:
    gains = [low / 1.2 * (high * 1.44 / low) ** (step / _STEPS) for step in range(_STEPS + 1)]
    return go.Scatter(
        x=gains,
        y=[gain / (1 + gain**2) ** 0.5 for gain in gains],
        mode="lines",
        name=CURVE_KEYS[1].label,
        line={"color": GRAY, "width": 3},
        hovertemplate="gain %{x:.2f}: alignment %{y:.2f}<extra></extra>",
    )


def _realised(entry: "Branch | None") -> list[go.Scatter]:
    """The 5-95 % range over positions of one branch, as a band; none where it is not recorded."""
    spans = (
        [] if entry is None else [(r.gain, r.alignment_low, r.alignment_high) for r in entry.curve]
    )
    spans = [span for span in spans if span[1] is not None]
    blank = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "name": BAND_KEY.label}
    gains = [gain for gain, _, _ in spans]
    return [
        go.Scatter(x=gains, y=[low for _, low, _ in spans], **blank),
        go.Scatter(
            x=gains,
            y=[high for _, _, high in spans],
            fill="tonexty",
            fillcolor="rgba(140,140,140,.18)",
            **blank,
        ),
    ]


def _rungs(entries: Sequence["Branch"]) -> go.Scatter:
    rungs = [(entry, rung) for entry in entries for rung in entry.curve]
    return go.Scatter(
        x=[rung.gain for _, rung in rungs],
        y=[rung.alignment for _, rung in rungs],
        mode="markers",
        name=CURVE_KEYS[2].label,
        marker={"size": 5, "symbol": "circle-open", "color": SKY, "opacity": 0.55},
        text=[
            f"{words(entry.name)}{_spread(rung.alignment_low, rung.alignment_high)}"
            for entry, rung in rungs
        ],
        hovertemplate="%{text}<br>gain %{x:.2f}, mean alignment %{y:.2f}<extra></extra>",
    )


def _spread(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return f", 5\N{EN DASH}95% of positions {low:.2f} to {high:.2f}"


def _edges(rows: "Sequence[tuple[Branch, Measured | None]]", key: Key, symbol: str) -> go.Scatter:
    marks = [(e, edge) for e, edge in rows if edge and edge.gain and edge.alignment is not None]
    return go.Scatter(
        x=[edge.gain for _, edge in marks],
        y=[edge.alignment for _, edge in marks],
        mode="markers",
        name=key.label,
        marker={"size": 9, "symbol": symbol, "color": key.color, "opacity": 0.85},
        text=[f"{words(entry.name)}: {key.label}" for entry, _ in marks],
        hovertemplate="%{text}<br>gain %{x:.2f}, alignment %{y:.2f}<extra></extra>",
    )
