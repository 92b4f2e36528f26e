"""A scatter plot on two log axes as plain SVG, for pages that run no script."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from fulcra.report.figures.drawing import beside_axis, drawing
from fulcra.report.figures.style import BLUE, GRAY, GREEN, ORANGE, SKY, VERMILLION

_COLORS = (BLUE, VERMILLION, GREEN, ORANGE, SKY, "#CC79A7", "#000000", GRAY)
_SIZE, _LEFT, _BOTTOM = 360, 56, 44
#: Pixels beside the square for its legend at least, and of a letter there.
_LEGEND, _LETTER = 170, 7
_TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class ScatterPoint(NamedTuple):
    """One dot and the group that colors it."""

    x: float
    y: float
    group: str


def _place(value: float) -> float:
    """Pixels along an axis, from .08 to 6; what lies beyond stands at its end."""
    low, high = math.log(0.08), math.log(6.0)
    return _SIZE * (min(max(math.log(value), low), high) - low) / (high - low)


def scatter(points: Sequence[ScatterPoint], x: str, y: str) -> str:
    """The drawing, with the diagonal on which both agree and a legend of the groups."""
    groups = sorted({point.group for point in points})
    colors = {group: _COLORS[i % len(_COLORS)] for i, group in enumerate(groups)}
    dots = [
        f'<circle cx="{_LEFT + _place(p.x):.1f}" cy="{_SIZE - _place(p.y):.1f}" r="2.5"'
        f' fill="{colors[p.group]}" fill-opacity=".6"/>'
        for p in points
    ]
    keys = [
        f'<circle cx="{_LEFT + _SIZE + 16}" cy="{18 + 18 * i}" r="4" fill="{colors[group]}"/>'
        f'<text x="{_LEFT + _SIZE + 26}" y="{22 + 18 * i}">{escape(group)}</text>'
        for i, group in enumerate(groups)
    ]
    legend = max(_LEGEND, 34 + _LETTER * max(map(len, groups), default=0))
    width, height = _LEFT + _SIZE + legend, _SIZE + _BOTTOM
    return drawing(width, height, [*_axes(x, y), *dots, *keys])


def _axes(x: str, y: str) -> list[str]:
    frame = (
        f'<rect x="{_LEFT}" y="0" width="{_SIZE}" height="{_SIZE}" fill="none" stroke="{GRAY}"/>'
    )
    diagonal = (
        f'<line x1="{_LEFT}" y1="{_SIZE}" x2="{_LEFT + _SIZE}" y2="0" stroke="{GRAY}"'
        ' stroke-dasharray="4"/>'
    )
    ticks = [
        f'<text x="{_LEFT + _place(tick):.1f}" y="{_SIZE + 16}"'
        f' text-anchor="middle">{tick:g}</text>'
        for tick in _TICKS
    ]
    ticks += [
        f'<text x="{_LEFT - 6}" y="{_SIZE - _place(tick) + 4:.1f}"'
        f' text-anchor="end">{tick:g}</text>'
        for tick in _TICKS
    ]
    middle = _SIZE / 2
    below = f'<text x="{_LEFT + middle}" y="{_SIZE + 36}" text-anchor="middle">{escape(x)}</text>'
    return [frame, diagonal, *ticks, below, beside_axis(y, middle)]
