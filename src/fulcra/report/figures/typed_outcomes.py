"""Typed outcomes of one branch: what the rollouts of every gain became by one horizon."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from fulcra.report.figures.style import OUTCOME_COLORS, Key, figure, rate_axis, words

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch


def outcome_keys(audit: "AuditResult") -> tuple[Key, ...]:
    """The legend, in the behavior's own names."""
    return tuple(
        Key("■", color, audit.behavior.label(outcome)) for outcome, color in OUTCOME_COLORS.items()
    )


def typed_outcomes(audit: "AuditResult", entry: "Branch", horizon: int) -> go.Figure:
    """Stacked bars, one a gain."""
    points = [(f"{point.gain:g}", point.outcomes.get(str(horizon), {})) for point in entry.curve]
    traces = [
        go.Bar(
            x=[gain for gain, _ in points],
            y=[outcomes.get(outcome) for _, outcomes in points],
            name=words(audit.behavior.label(outcome)),
            marker={"color": color},
            hovertemplate="%{y:.0%}",
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
