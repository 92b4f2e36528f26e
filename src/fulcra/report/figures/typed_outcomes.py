"""Typed outcomes of one branch: what the rollouts of every gain became by one horizon."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from fulcra.report.figures.style import OUTCOME_COLORS, Key, figure, rate_axis, words
from fulcra.report.notation import counted
from fulcra.report.sample_sizes import sizes

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch


def outcome_keys(audit: "AuditResult") -> tuple[Key, ...]:
    """The legend, in the behavior's own names."""
    return tuple(
        Key("■", color, audit.behavior.label(outcome), outcome)
        for outcome, color in OUTCOME_COLORS.items()
    )


def typed_outcomes(audit: "AuditResult", entry: "Branch", horizon: int) -> go.Figure:
    """Stacked bars, one a gain."""
    points = [
        (f"{point.gain:g}", point.outcomes.get(str(horizon), {}), sizes(audit, point).confirmation)
        for point in entry.curve
    ]
    traces = [
        go.Bar(
            x=[gain for gain, _, _ in points],
            y=[shares.get(outcome) for _, shares, _ in points],
            name=words(audit.behavior.label(outcome)),
            legendgroup=outcome,
            marker={"color": color},
            text=[_hover(shares.get(outcome), n) for _, shares, n in points],
            textposition="none",
            hovertemplate="%{text}",
        )
        for outcome, color in OUTCOME_COLORS.items()
    ]
    return figure(
        traces,
        height=270,
        margin={"l": 44, "r": 6, "t": 8, "b": 52},
        barmode="stack",
        bargap=0.08,
        hovermode="x unified",
        xaxis={
            "type": "category",
            "title": {"text": "gain |g|", "standoff": 6},
            "tickangle": -90,
            "tickfont": {"size": 11},
        },
        yaxis=rate_axis() | {"range": [0, 1]},
    )


def _hover(share: float | None, n: int | None) -> str:
    """A share with n and interval; of what did not happen, n alone."""
    return counted(share, n) if share else "0%" if n is None else f"0 of {n}"
