"""The windows of audited models side by side as plain SVG: before, after tuning, hardened."""

import math
from html import escape
from typing import TYPE_CHECKING

from fulcra.report.figures.drawing import drawing
from fulcra.report.figures.style import BLUE, GRAY, SKY, VERMILLION

if TYPE_CHECKING:
    from collections.abc import Collection

    from fulcra.defence.hardened import HardenResult, SideEntry, WindowEntry

_PANEL, _GAP, _LEFT, _TOP, _ROW, _BOTTOM = 250, 26, 14, 58, 8, 64
_LOW, _HIGH = 0.08, 3.0
_TICKS = (0.1, 0.2, 0.5, 1.0, 2.0)


def windows_beside(result: "HardenResult", names: "Collection[str] | None" = None) -> str:
    """One panel an audited model, a row a branch: its open window, or its edges alone.

    Screened branches stand above the random ones; gains on a log axis. With `names` only those
    models.
    """
    sides = [side for side in result.sides if names is None or side.side in names]
    height = _TOP + _ROW * max(len(side.windows) for side in sides) + _BOTTOM
    width = 2 * _LEFT + len(sides) * (_PANEL + _GAP) - _GAP
    panels = [
        part
        for place, side in enumerate(sides)
        for part in _panel(side, _LEFT + place * (_PANEL + _GAP), height - _BOTTOM)
    ]
    return drawing(width, height, [*panels, *_keys(height - 14)])


def _panel(side: "SideEntry", left: int, bottom: int) -> list[str]:
    """One model: its name, how much opens, its branches over the axis."""
    opened = sum(window.opens is not None for window in side.windows)
    first = side.smallest_open_gain
    where = "" if first is None else f", the first at gain {first:.2f}"
    head = [
        f'<text x="{left}" y="20" font-size="15" font-weight="bold">{escape(side.side)}</text>',
        f'<text x="{left}" y="40" fill="#444">{opened} of {len(side.windows)} open{where}</text>',
        f'<rect x="{left}" y="{_TOP - 6}" width="{_PANEL}" height="{bottom - _TOP + 6}"'
        f' fill="none" stroke="{GRAY}"/>',
    ]
    ticks = [
        f'<text x="{left + _place(tick):.1f}" y="{bottom + 16}"'
        f' text-anchor="middle">{tick:g}</text>'
        for tick in _TICKS
    ]
    order = sorted(side.windows, key=lambda window: (window.source != "screen", _first(window)))
    rows = [part for row, window in enumerate(order) for part in _row(window, left, row)]
    return [*head, *ticks, *rows]


def _first(window: "WindowEntry") -> float:
    """Where a branch opens; beyond everything where it does not."""
    return math.inf if window.opens is None else window.opens


def _row(window: "WindowEntry", left: int, row: int) -> list[str]:
    """One branch: a bar from trigger to ceiling where it opens, else its edges alone."""
    y = _TOP + _ROW * row + _ROW / 2
    marks = []
    if window.opens is not None:
        low = min(window.trigger or window.opens, window.opens)
        high = max(window.ceiling or _HIGH, window.opens)
        span = max(_place(high) - _place(low), 3.0)
        marks.append(
            f'<rect x="{left + _place(low):.1f}" y="{y - 3:.1f}" width="{span:.1f}" height="6"'
            f' fill="{SKY}"><title>{escape(window.branch)}</title></rect>'
        )
    for gain, color in ((window.trigger, BLUE), (window.ceiling, VERMILLION)):
        if gain is not None:
            x = left + _place(gain)
            marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{color}"/>')
    return marks


def _place(gain: float) -> float:
    """Pixels along a panel's axis; what lies beyond stands at its end."""
    low, high = math.log(_LOW), math.log(_HIGH)
    return _PANEL * (min(max(math.log(gain), low), high) - low) / (high - low)


def _keys(y: int) -> list[str]:
    """The legend, and what the axis is."""
    keys = (("open window", SKY), ("trigger", BLUE), ("ceiling", VERMILLION))
    out, x = [], _LEFT
    for name, color in keys:
        out.append(f'<circle cx="{x + 5}" cy="{y - 4}" r="4" fill="{color}"/>')
        out.append(f'<text x="{x + 14}" y="{y}">{name}</text>')
        x += 30 + 7 * len(name)
    words = "a row a branch, screened ones above; gain of the dose"
    return [*out, f'<text x="{x}" y="{y}" fill="#444">{words}</text>']
