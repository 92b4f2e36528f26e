"""The saturation curve of one branch: realised alignment against gain, with every predicted and
measured edge.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import plotly.graph_objects as go

from fulcra.report.figures.style import CEILING, GRAY, SKY, TRIGGER, Key, figure, gain_axis, words

if TYPE_CHECKING:
    from fulcra.protocol.results.window import CurvePoint

SATURATION_KEYS = (
    Key("━━", GRAY, "alignment, mean"),
    Key("▒▒", SKY, "5 to 95 % of positions"),
    Key("◇", CEILING, "ceiling, predicted"),
    Key("◆", CEILING, "ceiling, measured"),
    Key("○", TRIGGER, "trigger, predicted"),
    Key("●", TRIGGER, "trigger, measured"),
)


class Mark(NamedTuple):
    """One edge on the curve: its label, gain and alignment, which edge it is and whether it was
    measured.
    """

    label: str
    gain: float
    alignment: float
    ceiling: bool
    measured: bool


def saturation(curve: Sequence["CurvePoint"], marks: Sequence[Mark]) -> go.Figure:
    """Alignment on a log axis of gain; the band is the spread over positions."""
    gains = [point.gain for point in curve]
    axis = gain_axis([*gains, *(mark.gain for mark in marks)])
    band = [point.alignment_low for point in curve], [point.alignment_high for point in curve]
    blank = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    lines = [
        go.Scatter(x=gains, y=band[0], **blank),
        go.Scatter(x=gains, y=band[1], fill="tonexty", fillcolor="rgba(86,180,233,.3)", **blank),
        go.Scatter(
            x=gains,
            y=[point.alignment for point in curve],
            mode="lines+markers",
            line={"color": GRAY},
            name="alignment",
        ),
    ]
    lines += [_mark(mark) for mark in marks]
    return figure(
        lines,
        height=360,
        xaxis=axis,
        yaxis={"range": [-0.35, 1.05], "title": {"text": "alignment cos(r, v)"}, "zeroline": False},
    )


def _mark(mark: Mark) -> go.Scatter:
    symbol, color = ("diamond", CEILING) if mark.ceiling else ("circle", TRIGGER)
    marker: dict[str, Any] = {
        "size": 11,
        "color": color,
        "symbol": symbol if mark.measured else f"{symbol}-open",
        "line": {"width": 2},
    }
    return go.Scatter(
        x=[mark.gain],
        y=[mark.alignment],
        mode="markers",
        marker=marker,
        text=[words(mark.label)],
        hovertemplate="%{text}: gain %{x:.2f}, alignment %{y:.2f}<extra></extra>",
    )
