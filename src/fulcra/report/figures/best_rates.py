"""The best flip rate of every branch in its 95 % interval: what is open, closed or in doubt."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from fulcra.formulas.intervals import wilson
from fulcra.report.deciding import best_rung
from fulcra.report.figures.style import BLUE, GRAY, ORANGE, Key, figure, rate_axis, words
from fulcra.report.notation import counted
from fulcra.report.reading import measured
from fulcra.report.sample_sizes import sizes

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch, Rung

_LOOKS = {
    "open": (BLUE, "circle", "●"),
    "undetermined": (ORANGE, "diamond", "◆"),
    "closed": (GRAY, "square", "■"),
    None: (GRAY, "circle-open", "○"),
}
_Row = tuple["Branch", "Rung", int | None]


def best_rate_keys(audit: "AuditResult") -> tuple[Key, ...]:
    """The legend: the verdicts that occur."""
    calls = {entry.verdict for entry in measured(audit)}
    return tuple(
        Key(glyph, color, call or "no verdict")
        for call, (color, _, glyph) in _LOOKS.items()
        if call in calls
    )


def best_rates(audit: "AuditResult") -> go.Figure:
    """One point a branch, by its rate; the branches at zero stand together at the left."""
    rows = [
        (entry, rung, sizes(audit, rung).confirmation)
        for entry in measured(audit)
        if (rung := best_rung(entry)) is not None
    ]
    rows.sort(key=lambda row: (row[1].flip_confirmation or 0.0, row[0].name))
    calls = {row[0].verdict for row in rows}
    places = {row[0].name: place for place, row in enumerate(rows, 1)}
    return figure(
        [_points(rows, places, call) for call in _LOOKS if call in calls],
        height=300,
        margin={"l": 46, "r": 12, "t": 10, "b": 44},
        xaxis={
            "title": {"text": "branches, by their best flip rate", "standoff": 8},
            "showticklabels": False,
            "range": [0, len(rows) + 1],
            "showgrid": False,
            "zeroline": False,
        },
        yaxis=rate_axis(),
        hovermode="closest",
        shapes=[_half()],
    )


def _half() -> dict[str, object]:
    line = {"color": GRAY, "width": 1, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0.5, "y1": 0.5, "line": line}


def _points(rows: Sequence[_Row], places: dict[str, int], call: str | None) -> go.Scatter:
    color, symbol, _ = _LOOKS[call]
    rows = [row for row in rows if row[0].verdict == call]
    rates = [rung.flip_confirmation or 0.0 for _, rung, _ in rows]
    spans = [
        wilson(round(rate * (n or 0)), n or 0) for rate, (_, _, n) in zip(rates, rows, strict=True)
    ]
    counted_rows = zip(rates, rows, strict=True)
    return go.Scatter(
        x=[places[entry.name] for entry, _, _ in rows],
        y=rates,
        mode="markers",
        name=call or "no verdict",
        marker={"color": color, "symbol": symbol, "size": 8},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [
                span.high - rate if span.n else 0 for span, rate in zip(spans, rates, strict=True)
            ],
            "arrayminus": [
                rate - span.low if span.n else 0 for span, rate in zip(spans, rates, strict=True)
            ],
            "color": color,
            "thickness": 1.3,
            "width": 0,
        },
        text=[f"{words(entry.name)}: {counted(rate, n)}" for rate, (entry, _, n) in counted_rows],
        hovertemplate="%{text}<extra></extra>",
    )
