"""A calibration curve on two log axes as plain SVG, for pages that run no script."""

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from fulcra.formulas.intervals import wilson
from fulcra.report.figures.drawing import beside_axis, drawing
from fulcra.report.figures.style import BLUE, GRAY, GREEN, ORANGE, SKY, VERMILLION

if TYPE_CHECKING:
    from fulcra.protocol.results.chances import ChanceScore

_COLORS = (BLUE, VERMILLION, GREEN, ORANGE, SKY)
_SIZE, _LEFT, _TOP, _BOTTOM = 360, 64, 12, 48
_TICKS = (0.001, 0.01, 0.1, 1.0)


class ReliabilityPoint(NamedTuple):
    """One bin: mean chance, rate observed with its interval, how many, and whose it is."""

    chance: float
    rate: float
    low: float
    high: float
    n: int
    group: str


def calibrated(score: "ChanceScore", group: str) -> list[ReliabilityPoint]:
    """The bins of chances that hold a branch, with the 95 % Wilson interval of as many."""
    points = []
    for part in score.bins:
        if part.n and part.mean is not None and part.rate is not None:
            around = wilson(round(part.rate * part.n), part.n)
            ends = around.low, around.high
            points.append(ReliabilityPoint(part.mean, part.rate, *ends, part.n, group))
    return points


def _along(value: float) -> float:
    """Pixels along an axis from .001 to 1; what lies below stands at its start."""
    return _SIZE * (1 + math.log10(min(max(value, 0.001), 1.0)) / 3)


def reliability(points: Sequence[ReliabilityPoint], x: str, y: str) -> str:
    """The drawing: a dot and its interval a bin, the diagonal of a perfect forecast, a legend."""
    groups = list(dict.fromkeys(point.group for point in points))
    colors = {group: _COLORS[i % len(_COLORS)] for i, group in enumerate(groups)}
    dots = [mark for point in points for mark in _dot(point, colors[point.group])]
    keys = [
        f'<circle cx="{_LEFT + _SIZE + 16}" cy="{_TOP + 12 + 18 * i}" r="4"'
        f' fill="{colors[group]}"/><text x="{_LEFT + _SIZE + 26}" y="{_TOP + 16 + 18 * i}">'
        f"{escape(group)}</text>"
        for i, group in enumerate(groups)
    ]
    width, height = _LEFT + _SIZE + 170, _TOP + _SIZE + _BOTTOM
    return drawing(width, height, [*_axes(x, y), *dots, *keys])


def _dot(point: ReliabilityPoint, color: str) -> tuple[str, str]:
    across = _LEFT + _along(point.chance)
    low, middle, high = (_down(value) for value in (point.low, point.rate, point.high))
    words = escape(f"{point.group}: chance {point.chance:.3f}, rate {point.rate:.3f}, {point.n}")
    return (
        f'<line x1="{across:.1f}" y1="{low:.1f}" x2="{across:.1f}" y2="{high:.1f}"'
        f' stroke="{color}" stroke-opacity=".6"/>',
        f'<circle cx="{across:.1f}" cy="{middle:.1f}" r="4" fill="{color}">'
        f"<title>{words}</title></circle>",
    )


def _down(value: float) -> float:
    return _TOP + _SIZE - _along(value)


def _axes(x: str, y: str) -> list[str]:
    bottom, right = _TOP + _SIZE, _LEFT + _SIZE
    marks = [
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_SIZE}" height="{_SIZE}" fill="none"'
        f' stroke="{GRAY}"/>',
        f'<line x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{_TOP}" stroke="{GRAY}"'
        ' stroke-dasharray="4"/>',
    ]
    for tick in _TICKS:
        words = f"{tick:g}" if tick > _TICKS[0] else f"≤ {tick:g}"
        marks += [
            f'<text x="{_LEFT + _along(tick):.1f}" y="{bottom + 16}"'
            f' text-anchor="middle">{words}</text>',
            f'<text x="{_LEFT - 6}" y="{_down(tick) + 4:.1f}" text-anchor="end">{words}</text>',
        ]
    middle = _TOP + _SIZE / 2
    return [
        *marks,
        f'<text x="{_LEFT + _SIZE / 2}" y="{bottom + 38}" text-anchor="middle">{escape(x)}</text>',
        beside_axis(y, middle),
    ]
