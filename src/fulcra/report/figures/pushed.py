"""The first picture of a report: how one branch flips as it is pushed, and where its text breaks.

Every rate stands in its 95 % interval, where its number of rollouts is recorded.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import plotly.graph_objects as go

from fulcra.formulas.intervals import wilson
from fulcra.report.figures.style import CEILING, GRAY, TRIGGER, Key, figure, gain_axis, rate_axis
from fulcra.report.notation import counted
from fulcra.report.sample_sizes import sizes

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch, Rung


class _Drawn(NamedTuple):
    key: str
    prompts: str
    label: str
    color: str
    band: str
    dash: str


#: The legend of the picture.
PUSHED_KEYS = (
    Key("\N{BLACK CIRCLE}", TRIGGER, "prompts flipped"),
    Key("\N{BLACK DIAMOND}", CEILING, "generic text still coherent"),
)
_FLIPS = _Drawn(
    "flip_confirmation",
    "confirmation",
    PUSHED_KEYS[0].label,
    TRIGGER,
    "rgba(0,114,178,.22)",
    "solid",
)
_COHERENT = _Drawn(
    "coherent", "generic", PUSHED_KEYS[1].label, CEILING, "rgba(213,94,0,.16)", "dash"
)
_RANGE = "rgba(86,180,233,.20)"


def pushed(audit: "AuditResult", entry: "Branch", window: Sequence[float] = ()) -> go.Figure:
    """Flips and coherence of a branch against gain; the rungs of `window` are shaded."""
    curve = entry.curve
    gains = [rung.gain for rung in curve]
    traces = [trace for drawn in (_COHERENT, _FLIPS) for trace in _band(audit, curve, drawn)]
    return figure(
        traces,
        height=310,
        margin={"l": 46, "r": 12, "t": 8, "b": 44},
        xaxis=gain_axis(gains),
        yaxis=rate_axis() | {"range": [-0.03, 1.1]},
        hovermode="x unified",
        shapes=[_half(), *_shaded(gains, window)],
    )


def _band(audit: "AuditResult", curve: Sequence["Rung"], drawn: _Drawn) -> list[go.Scatter]:
    """A rate with the 95 % interval around it, where its number of rollouts is recorded."""
    rolled = [
        (rung, getattr(rung, drawn.key), getattr(sizes(audit, rung), drawn.prompts))
        for rung in curve
    ]
    rolled = [row for row in rolled if row[1] is not None]
    gains = [rung.gain for rung, _, _ in rolled]
    spans = [wilson(round(rate * n), n) for _, rate, n in rolled if n]
    whole = len(spans) == len(rolled)
    blank = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "name": drawn.label}
    edges = [[span.low for span in spans], [span.high for span in spans]] if whole else [[], []]
    return [
        go.Scatter(x=gains if whole else [], y=edges[0], **blank),
        go.Scatter(
            x=gains if whole else [], y=edges[1], fill="tonexty", fillcolor=drawn.band, **blank
        ),
        go.Scatter(
            x=gains,
            y=[rate for _, rate, _ in rolled],
            mode="lines+markers",
            name=drawn.label,
            line={"color": drawn.color, "width": 2.5, "dash": drawn.dash},
            marker={"size": 6, "symbol": "circle" if drawn is _FLIPS else "diamond"},
            text=[counted(rate, n) for _, rate, n in rolled],
            hovertemplate="%{text}",
        ),
    ]


def _half() -> dict[str, object]:
    line = {"color": GRAY, "width": 1, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0.5, "y1": 0.5, "line": line}


def _shaded(gains: Sequence[float], window: Sequence[float]) -> list[dict[str, object]]:
    """From the middle before the first rung of the window to the middle after its last."""
    if not window:
        return []
    first, last = gains.index(min(window)), gains.index(max(window))
    before, after = gains[max(first - 1, 0)], gains[min(last + 1, len(gains) - 1)]
    place = {"x0": (before * gains[first]) ** 0.5, "x1": (after * gains[last]) ** 0.5}
    look = {"layer": "below", "line": {"width": 0}, "fillcolor": _RANGE}
    return [{"type": "rect", "y0": 0, "y1": 1, "yref": "paper", **look, **place}]
