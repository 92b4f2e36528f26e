"""Pins: flips and reach of one neuron when its activation is held at a value."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from fulcra.report.figures.style import BLUE, REACH, figure, rate_axis

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import Pin


def pin_response(pins: Sequence["Pin"]) -> go.Figure:
    """Flip rate and strict reach against the pinned activation; the ablation is the pin at 0."""
    ordered = sorted(pins, key=lambda pin: float(pin.value))
    return figure(
        [
            _line(ordered, "flip_rate", "flip", BLUE, "circle"),
            _line(ordered, "reach", "strict reach", REACH, "square"),
        ],
        height=230,
        margin={"l": 44, "r": 10, "t": 8, "b": 44},
        hovermode="x unified",
        xaxis={"title": {"text": "pinned activation", "standoff": 6}, "zeroline": False},
        yaxis=rate_axis(),
    )


def _line(pins: Sequence["Pin"], key: str, label: str, color: str, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=[pin.value for pin in pins],
        y=[getattr(pin, key) for pin in pins],
        mode="lines+markers",
        name=label,
        line={"color": color, "width": 2},
        marker={"size": 7, "symbol": symbol},
        text=[
            "ablated" if pin.op == "ablate" else f"{pin.multiple:g} times the natural range"
            for pin in pins
        ],
        hovertemplate="%{y:.0%} (%{text})",
    )
