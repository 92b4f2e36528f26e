"""Pins: flips and reach of one neuron when its activation is held at a value."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import plotly.graph_objects as go

from fulcra.report.figures.style import BLUE, REACH, figure, rate_axis
from fulcra.report.notation import counted

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import Pin


def pin_response(pins: Sequence["Pin"], n: int | None = None) -> go.Figure:
    """Flip rate and strict reach against the pinned activation; the ablation is the pin at 0.

    `n` is the number of prompts of every rate, where it is recorded.
    """
    ordered = sorted(pins, key=lambda pin: float(pin.value))
    return figure(
        [
            _line(ordered, _Rate("flip_rate", "flip", BLUE, "circle"), n),
            _line(ordered, _Rate("reach", "strict reach", REACH, "square"), n),
        ],
        height=230,
        margin={"l": 44, "r": 10, "t": 8, "b": 44},
        hovermode="x unified",
        xaxis={"title": {"text": "pinned activation", "standoff": 6}, "zeroline": False},
        yaxis=rate_axis(),
    )


class _Rate(NamedTuple):
    key: str
    label: str
    color: str
    symbol: str


def _line(pins: Sequence["Pin"], drawn: _Rate, n: int | None) -> go.Scatter:
    return go.Scatter(
        x=[pin.value for pin in pins],
        y=[getattr(pin, drawn.key) for pin in pins],
        mode="lines+markers",
        name=drawn.label,
        legendgroup="coherent flip" if drawn.key == "flip_rate" else drawn.label,
        line={"color": drawn.color, "width": 2},
        marker={"size": 7, "symbol": drawn.symbol},
        text=[
            "ablated" if pin.op == "ablate" else f"{pin.multiple:g} times the natural range"
            for pin in pins
        ],
        customdata=[counted(getattr(pin, drawn.key), n) for pin in pins],
        hovertemplate="%{customdata}, %{text}",
    )
