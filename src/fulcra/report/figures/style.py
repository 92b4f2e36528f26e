"""Colors, axes and the layout that every figure shares."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import plotly.graph_objects as go

from fulcra.types import Outcome

# Okabe and Ito's palette: told apart with any color vision, on light and on dark ground.
BLUE, SKY, GREEN, VERMILLION, ORANGE, GRAY, PALE = (
    "#0072B2",
    "#56B4E9",
    "#009E73",
    "#D55E00",
    "#E69F00",
    "#999999",
    "#CFCFCF",
)
TRIGGER, CEILING, WINDOW, REACH = BLUE, VERMILLION, SKY, GREEN
#: From the bottom of a stack to its top; reach and flips first, so that they share a base line.
OUTCOME_COLORS: dict[Outcome, str] = {
    "flipped_correct": GREEN,
    "flipped": SKY,
    "unchanged": GRAY,
    "off_topic": ORANGE,
    "collapse": VERMILLION,
    "unscored": PALE,
}
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


class Key(NamedTuple):
    """One entry of a legend, which the page prints above the figure: it wraps with the page,
    plotly's does not.
    """

    glyph: str
    color: str
    label: str
    group: str = ""

    @property
    def traces(self) -> str:
        """What names the traces that this entry shows and hides: `group`, else the label."""
        return self.group or self.label


EDGE_KEYS = (
    Key("○", TRIGGER, "trigger, predicted"),
    Key("●", TRIGGER, "trigger, measured"),
    Key("◇", CEILING, "ceiling, predicted"),
    Key("◆", CEILING, "ceiling, measured"),
)
RATE_KEYS = (Key("■", BLUE, "coherent flip"), Key("■", REACH, "strict reach"))


def words(text: object) -> str:
    """Text that plotly prints as it stands: its labels read a subset of HTML."""
    return escape(str(text), quote=False)


def log_range(gains: Sequence[float], right: float = 1.25) -> list[float]:
    """The range of a log axis around `gains`, `right` times the largest one at its end."""
    return [math.log10(min(gains) / 1.25), math.log10(max(gains) * right)]


def gain_axis(gains: Sequence[float], right: float = 1.25) -> dict[str, Any]:
    """The log axis of a gain."""
    return {
        "type": "log",
        "range": log_range(gains, right),
        "tickvals": list(_TICKS),
        "ticktext": [f"{tick:g}" for tick in _TICKS],
        "title": {"text": "gain |g|", "standoff": 8},
        "zeroline": False,
    }


def alignment_axis(span: Sequence[float]) -> dict[str, object]:
    """A second axis above a gain axis: the alignment g / sqrt(1 + g^2) of the same gain."""
    shown = [tick for tick in _TICKS if 10 ** span[0] <= tick <= 10 ** span[1]]
    return {
        "type": "log",
        "overlaying": "x",
        "side": "top",
        "range": list(span),
        "tickvals": shown,
        "ticktext": [f"{tick / math.hypot(1, tick):.2f}" for tick in shown],
        "showgrid": False,
        "zeroline": False,
        "title": {"text": "alignment g / \u221a(1 + g\u00b2)", "standoff": 6},
    }


def axis_anchor(gains: Sequence[float]) -> go.Scatter:
    """A trace without marks: plotly draws a second axis only where something refers to it."""
    return go.Scatter(
        x=list(gains), y=[None] * len(gains), xaxis="x2", showlegend=False, hoverinfo="skip"
    )


def rate_axis(title: str = "") -> dict[str, Any]:
    """The axis of a rate in [0, 1]."""
    return {
        "range": [-0.03, 1.06],
        "tickvals": [0, 0.25, 0.5, 0.75, 1],
        "tickformat": ".0%",
        "title": {"text": title},
        "zeroline": False,
    }


def figure(traces: Sequence[Any], height: int, **layout: Any) -> go.Figure:
    """A figure in the report's style; the page gives ink and grid their colors, light or dark."""
    style: dict[str, Any] = {
        "template": "none",
        "height": height,
        "font": {
            "family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif",
            "size": 12,
        },
        "margin": {"l": 56, "r": 16, "t": 16, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
    }
    return go.Figure(data=list(traces), layout=style | layout)
