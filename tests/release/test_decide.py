"""A limit is held to the end of an interval: never to the point, and a tie of doubt stays open."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulcra.formulas.intervals import newcombe, wilson
from fulcra.release.decide import Measure, at_least, at_most, opening

numbers = st.floats(0, 1)


def measure(low: float, value: float, high: float, n: int = 16) -> Measure:
    return Measure("words", value, low, high, n, "more")


@given(st.tuples(numbers, numbers, numbers), numbers)
def test_a_decision_needs_the_whole_interval_on_one_side(
    ends: tuple[float, float, float], wanted: float
) -> None:
    low, value, high = sorted(ends)
    above = at_most("a", wanted, measure(low, value, high)).decision
    below = at_least("a", wanted, measure(low, value, high)).decision
    assert above == ("pass" if high <= wanted else "fail" if low > wanted else "cannot conclude")
    assert below == ("pass" if low >= wanted else "fail" if high < wanted else "cannot conclude")


def test_nothing_measured_decides_nothing() -> None:
    entry = at_most("a", 1.0, measure(0.0, math.nan, 1.0, 0))
    assert (entry.decision, entry.measured, entry.n) == ("cannot conclude", None, 0)


def test_an_end_beyond_the_ladder_passes_a_lower_limit() -> None:
    entry = at_least("a", 0.5, measure(math.inf, math.inf, math.inf))
    assert (entry.decision, entry.low, entry.high) == ("pass", None, None)
    assert "beyond the ladder" in entry.why


@given(st.integers(0, 24), st.integers(0, 24))
def test_a_difference_of_rates_lies_in_its_interval_and_turns_with_its_sides(
    one: int, other: int
) -> None:
    before, after = wilson(one, 24), wilson(other, 24)
    rise, fall = newcombe(before, after), newcombe(after, before)
    assert rise.low <= rise.value <= rise.high
    assert (rise.low, rise.high) == pytest.approx((-fall.high, -fall.low))


def test_newcombe_as_published() -> None:
    # 56/70 against 48/80: Newcombe 1998, table II, case (a), method 10
    rise = newcombe(wilson(48, 80), wilson(56, 70))
    assert (rise.low, rise.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_an_interval_over_many_is_called_so() -> None:
    over = Measure("words", 0.6, 0.2, 0.9, 16, "more", "the interval over all settings")
    assert "the interval over all settings 0.2 to 0.9" in at_most("a", 0.5, over).why
    assert "the upper end of the interval over all settings" in at_most("a", 0.9, over).why


def test_one_of_many_opens_and_two_open() -> None:
    assert opening(1, 20, "random controls") == "1 of 20 random controls opens"
    assert opening(2, 20, "random controls") == "2 of 20 random controls open"
