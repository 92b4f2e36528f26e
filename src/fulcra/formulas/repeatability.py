"""How well a measurement agrees with itself, and the error floor it leaves (law.md section 5)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from fulcra.errors import InputError


class Repeatability(NamedTuple):
    """`sd` of one measurement and the mean |error| `floor` it leaves, from `n` repeated pairs.

    The floor is that of a perfect forecast.
    """

    sd: float
    floor: float
    n: int


def repeatability(first: Sequence[float], second: Sequence[float]) -> Repeatability:
    """The repeatability of a quantity measured twice, independently and alike; nan of nothing.

    Two errors of sd s differ by sd sqrt(2) s, so s^2 = mean (a - b)^2 / 2; a normal error's mean
    size is mean |a - b| / sqrt(2).
    """
    if len(first) != len(second):
        raise InputError(
            f"repeatability() got {len(first)} and {len(second)} values: expected each quantity"
            " measured twice"
        )
    gaps = [a - b for a, b in zip(first, second, strict=True)]
    if not gaps:
        return Repeatability(math.nan, math.nan, 0)
    return Repeatability(
        math.sqrt(sum(gap * gap for gap in gaps) / len(gaps) / 2),
        sum(map(abs, gaps)) / len(gaps) / math.sqrt(2),
        len(gaps),
    )
