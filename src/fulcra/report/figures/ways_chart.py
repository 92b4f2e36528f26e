"""Ways of tuning: where the freedom of each lies, and the gain at which its first branch opens."""

import math
from html import escape
from itertools import chain, count
from typing import TYPE_CHECKING, NamedTuple

from fulcra.report.figures.drawing import beside_axis, drawing
from fulcra.report.figures.style import BLUE, GRAY, SKY, VERMILLION

if TYPE_CHECKING:
    from fulcra.defence.recipes.entries import RecipesResult

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _LABEL = 560, 340, 64, 34, 48, 96
#: Gains of the axis; what opens at nothing stands above them.
_LOW, _HIGH = 0.08, 3.0
_GAINS = (0.1, 0.2, 0.5, 1.0, 2.0)
#: Pixels of a line of text and of a letter, of half a dot, and from its middle to its name.
_LINE, _LETTER, _DOT, _GAP = 13, 7, 5, 8


class _Box(NamedTuple):
    """What a dot or a label covers [pixels]."""

    left: float
    top: float
    right: float
    bottom: float


def ways_chart(result: "RecipesResult") -> str:
    """A large dot a way by the medians of its sound organisms, a small one each organism.

    Both axes are logarithmic; few neurons are told apart by color. Organisms without a verdict are
    hollow, with the name of their way where no other of it stands.
    """
    across = _Across([row.freedom for row in result.rows])
    few = result.design.few
    small = [
        _dot(
            across(row.freedom),
            _down(row.audit.smallest_open_gain),
            2.5,
            row.way in few,
            0.5,
            hollow=not row.audit.reproduced,
        )
        for row in result.rows
    ]
    large = [
        _dot(across(way.freedom), _down(way.gain), 5, way.way in few, 1) for way in result.ways
    ]
    names = [
        f'<text x="{x:.1f}" y="{y:.1f}" paint-order="stroke" stroke="white" stroke-width="3">'
        f"{escape(name)}</text>"
        for x, y, name in _labels(result, across)
    ]
    width, height = _LEFT + _WIDTH + _LABEL, _TOP + _HEIGHT + _BOTTOM
    return drawing(width, height, [*_frame(), *across.ticks(), *small, *large, *names])


def _labels(result: "RecipesResult", across: "_Across") -> list[tuple[float, float, str]]:
    """The place and name of every way, beside its dot or, without one, its first organism's."""
    dots = {way.way: (way.freedom, way.gain) for way in result.ways}
    for row in result.rows:
        dots.setdefault(row.way, (row.freedom, row.audit.smallest_open_gain))
    places = {name: (across(freedom), _down(gain)) for name, (freedom, gain) in dots.items()}
    taken = [_Box(x - _DOT, y - _DOT, x + _DOT, y + _DOT) for x, y in places.values()]
    labels = list[tuple[float, float, str]]()
    for name, (x, y) in sorted(places.items(), key=lambda place: place[1][1]):
        left, base = _free(taken, x, y + 4, _LETTER * len(name))
        taken.append(_Box(left, base - _LINE, left + _LETTER * len(name), base))
        labels.append((left, base, name))
    return labels


class _Across:
    """The axis of freedom [effective ranks], a little wider than what stands on it."""

    def __init__(self, values: list[float]) -> None:
        self.low = math.log(min(values, default=1.0) / 1.3)
        self.high = math.log(max(values, default=10.0) * 1.3)

    def __call__(self, value: float) -> float:
        return _LEFT + _WIDTH * (math.log(value) - self.low) / (self.high - self.low)

    def ticks(self) -> list[str]:
        """A mark at 1, 2 and 5 times every power of ten on the axis."""
        steps = [first * 10.0**power for power in range(-1, 6) for first in (1, 2, 5)]
        bottom = _TOP + _HEIGHT + 16
        return [
            f'<text x="{self(tick):.1f}" y="{bottom}" text-anchor="middle">{tick:g}</text>'
            for tick in steps
            if self.low <= math.log(tick) <= self.high
        ]


def _down(gain: float | None) -> float:
    """Pixels of a gain; what opens at nothing stands above the largest."""
    if gain is None:
        return _TOP + 14
    low, high = math.log(_LOW), math.log(_HIGH)
    share = (min(max(math.log(gain), low), high) - low) / (high - low)
    return _TOP + 40 + (_HEIGHT - 40) * (1 - share)


def _free(taken: list[_Box], x: float, y: float, width: float) -> tuple[float, float]:
    """Where a label covers nothing: right of its dot or left of it, else right and lower."""
    beside = [(x + _GAP, y), (x - _GAP - width, y)]
    lower = ((x + _GAP, y + step) for step in count(1))
    return next(
        (left, base)
        for left, base in chain(beside, lower)
        if not any(
            box.left < left + width
            and left < box.right
            and box.top < base
            and base - _LINE < box.bottom
            for box in taken
        )
    )


def _dot(x: float, y: float, radius: float, few: bool, opacity: float, hollow: bool = False) -> str:
    color = VERMILLION if few else BLUE
    fill = f'fill="none" stroke="{color}"' if hollow else f'fill="{color}" opacity="{opacity}"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" {fill}/>'


def _frame() -> list[str]:
    right, bottom = _LEFT + _WIDTH, _TOP + _HEIGHT
    heights = [(_down(None), "none"), *((_down(gain), f"{gain:g}") for gain in _GAINS)]
    return [
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH}" height="28" fill="{SKY}" opacity=".15"/>',
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="none"'
        f' stroke="{GRAY}"/>',
        *(
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{words}</text>'
            for y, words in heights
        ),
        f'<text x="{(_LEFT + right) / 2}" y="{bottom + 38}" text-anchor="middle">freedom of the'
        " change [effective ranks]</text>",
        beside_axis("smallest open gain", _TOP + _HEIGHT / 2),
        f'<circle cx="{_LEFT + 5}" cy="16" r="5" fill="{VERMILLION}"/>'
        f'<text x="{_LEFT + 16}" y="20">few named neurons learn</text>',
        f'<circle cx="{_LEFT + 185}" cy="16" r="5" fill="{BLUE}"/>'
        f'<text x="{_LEFT + 196}" y="20">adapters, blocks, all weights; small: an organism,'
        " hollow: no verdict</text>",
    ]
