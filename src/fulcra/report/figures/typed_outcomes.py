"""Typed outcomes of one branch: what the rollouts of every gain became by one horizon."""

import plotly.graph_objects as go

from fulcra.report.figures.style import OUTCOME_COLORS, Key, figure, rate_axis, words
from fulcra.report.reading import Audit, Entry, outcome_label


def outcome_keys(audit: Audit) -> tuple[Key, ...]:
    """The legend, in the behavior's own names."""
    return tuple(
        Key("■", color, outcome_label(audit, outcome)) for outcome, color in OUTCOME_COLORS.items()
    )


def typed_outcomes(audit: Audit, entry: Entry, horizon: int) -> go.Figure:
    """Stacked bars, one a gain."""
    points = [
        (f"{point['gain']:g}", (point.get("outcomes") or {}).get(str(horizon)) or {})
        for point in entry["curve"]
    ]
    traces = [
        go.Bar(
            x=[gain for gain, _ in points],
            y=[outcomes.get(outcome) for _, outcomes in points],
            name=words(outcome_label(audit, outcome)),
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
