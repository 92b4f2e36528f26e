"""The window chart: where every measured branch flips and where it collapses, predicted and
measured.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import plotly.graph_objects as go

from fulcra.report.figures.style import (
    CEILING,
    EDGE_KEYS,
    GRAY,
    TRIGGER,
    WINDOW,
    Key,
    alignment_axis,
    axis_anchor,
    figure,
    gain_axis,
    words,
)
from fulcra.report.notation import BEYOND, number, spread
from fulcra.report.notation import edge as printed
from fulcra.report.reading import measured

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch, Measured, Predicted

_ROW = 21  # pixels
_GROUPS = {"screen": "screened", "random": "random"}
_BAND = {"line": {"width": 0}, "fillcolor": "rgba(140,140,140,.12)"}
_BAND_LABEL = {
    "text": words(BEYOND),
    "x": 0.998,
    "xref": "paper",
    "xanchor": "right",
    "y": -0.6,
    "showarrow": False,
    "font": {"size": 11},
}


class _Mark(NamedTuple):
    legend: str
    color: str
    symbol: str
    shift: float


_TRIGGERS = (
    _Mark("trigger, predicted", TRIGGER, "circle-open", -0.17),
    _Mark("trigger, measured", TRIGGER, "circle", 0.17),
)
_CEILINGS = (
    _Mark("ceiling, predicted", CEILING, "diamond-open", -0.17),
    _Mark("ceiling, measured", CEILING, "diamond", 0.17),
)


_KEYS = (*EDGE_KEYS, Key("▬▬", WINDOW, "open window"))
_CAP_KEY = Key("❘", GRAY, "cap: no dose turns the stream further", "cap")


class _Ends(NamedTuple):
    low: float | None
    high: float | None


class _Row(NamedTuple):
    y: float
    entry: "Branch"
    edges: dict[_Mark, "Predicted | Measured | None"]


def window_keys(audit: "AuditResult") -> tuple[Key, ...]:
    """The legend of the chart; the cap is in it where a branch has one."""
    return (
        (*_KEYS, _CAP_KEY)
        if any(entry.cap_gain is not None for entry in measured(audit))
        else _KEYS
    )


def window_chart(audit: "AuditResult") -> go.Figure:
    """One row a branch, screened first, each group by margin, on a log gain axis; edges beyond the
    ladder stand in a band at its end.
    """
    rows, headings = _rows(audit)
    gains = [
        *audit.settings.gains,
        *(edge.gain for row in rows for edge in row.edges.values() if edge and edge.gain),
    ]
    end = max(gains)
    traces = [
        _windows(rows, end),
        _caps(rows),
        *(_marks(rows, mark, end) for mark in (*_TRIGGERS, *_CEILINGS)),
        axis_anchor([end]),
    ]
    axis = gain_axis(gains, right=1.75)
    bottom = rows[-1].y + 0.7 if rows else 1.0
    return figure(
        traces,
        height=int(_ROW * (bottom + 1)) + 104,
        margin={"l": 92, "r": 8, "t": 52, "b": 44},
        xaxis=axis,
        xaxis2=alignment_axis(axis["range"]),
        yaxis=_branch_axis(rows, bottom),
        shapes=[
            {"type": "rect", "x0": 1.12 * end, "x1": 1.75 * end, "y0": 0, "y1": 1, "yref": "paper"}
            | _BAND
        ],
        annotations=[*headings, _BAND_LABEL],
    )


def _rows(audit: "AuditResult") -> tuple[list[_Row], list[dict[str, object]]]:
    rows: list[_Row] = []
    headings: list[dict[str, object]] = []
    y = 0.0
    for source, heading in _GROUPS.items():
        entries = measured(audit, source)
        if entries:
            text = {
                "text": f"<i>{heading}</i>",
                "x": 0,
                "xref": "paper",
                "xanchor": "right",
                "xshift": -6,
                "y": y - 0.4,
                "yref": "y",
            }
            headings.append(text | {"showarrow": False, "font": {"size": 12}})
        rows += [
            _Row(y + 0.6 + index, entry, _edges(audit, entry))
            for index, entry in enumerate(entries)
        ]
        y += len(entries) + 1.2
    return rows, headings


def _edges(audit: "AuditResult", entry: "Branch") -> dict[_Mark, "Predicted | Measured | None"]:
    edges = (
        entry.trigger_predicted,
        entry.trigger(audit.behavior.horizon),
        entry.ceiling_predicted,
        entry.ceiling_measured,
    )
    return dict(zip((*_TRIGGERS, *_CEILINGS), edges, strict=True))


def _branch_axis(rows: list[_Row], bottom: float) -> dict[str, object]:
    labels = [
        f"<b>{words(row.entry.name)}</b>" if row.entry.verdict == "open" else words(row.entry.name)
        for row in rows
    ]
    ticks = {"tickvals": [row.y for row in rows], "ticktext": labels, "tickfont": {"size": 11}}
    return ticks | {"range": [bottom, -1.0], "zeroline": False, "ticks": ""}


def _windows(rows: list[_Row], end: float) -> go.Scatter:
    """The span from trigger to ceiling of every open branch; without a measured ceiling to its cap,
    or to the ladder's end.
    """
    x: list[float | None] = []
    y: list[float | None] = []
    for row in (row for row in rows if row.entry.verdict == "open"):
        low = _gain(row.edges[_TRIGGERS[1]]) or row.entry.smallest_open_gain
        high = _gain(row.edges[_CEILINGS[1]]) or row.entry.cap_gain or end
        x += [low, high, None]
        y += [row.y, row.y, None]
    line = {"color": WINDOW, "width": 13}
    return go.Scatter(
        x=x or [None],
        y=y or [None],
        mode="lines",
        name="open window",
        line=line,
        opacity=0.5,
        hoverinfo="skip",
    )


def _gain(edge: "Predicted | Measured | None") -> float | None:
    return None if edge is None else edge.gain


def _caps(rows: list[_Row]) -> go.Scatter:
    """The end of every ladder that a norm after the MLP cuts short."""
    capped = [(row, cap) for row in rows if (cap := row.entry.cap_gain)]
    return go.Scatter(
        x=[cap for _, cap in capped],
        y=[row.y for row, _ in capped],
        mode="markers",
        name="cap",
        marker={"symbol": "line-ns", "size": 15, "line": {"width": 2, "color": GRAY}},
        text=[f"{words(row.entry.name)}: cap {number(cap)}" for row, cap in capped],
        hovertemplate="%{text}<extra></extra>",
    )


def _marks(rows: list[_Row], mark: _Mark, end: float) -> go.Scatter:
    shown = [
        (row, edge) for row in rows if (edge := row.edges[mark]) and (edge.gain or edge.censored)
    ]
    beyond = end * (1.3 if mark in _TRIGGERS else 1.52)
    return go.Scatter(
        x=[edge.gain or beyond for _, edge in shown],
        y=[row.y + mark.shift for row, _ in shown],
        mode="markers",
        name=mark.legend,
        marker={
            "color": mark.color,
            "size": 8,
            "line": {"width": 1.5, "color": mark.color},
            "symbol": mark.symbol,
        },
        error_x=_error([edge for _, edge in shown], mark.color),
        text=[f"{words(row.entry.name)}: {mark.legend} {_spanned(edge)}" for row, edge in shown],
        hovertemplate="%{text}<extra></extra>",
    )


def _spanned(edge: "Predicted | Measured") -> str:
    """An edge with the 5-95 % interval that a measured one has."""
    low, high = getattr(edge, "low", None), getattr(edge, "high", None)
    if edge.gain is None or low is None:
        return printed(edge)
    return f"{printed(edge)} ({spread(_Ends(low, high))})"


def _error(edges: Sequence["Predicted | Measured"], color: str) -> dict[str, object]:
    """The interval of every edge; a predicted one has none."""
    spans = [(e.gain, getattr(e, "low", None), getattr(e, "high", None)) for e in edges]
    below = [gain - low if gain and low else 0 for gain, low, _ in spans]
    above = [high - gain if gain and high else 0 for gain, _, high in spans]
    return {
        "type": "data",
        "symmetric": False,
        "array": above,
        "arrayminus": below,
        "color": color,
        "thickness": 1.2,
        "width": 0,
    }
