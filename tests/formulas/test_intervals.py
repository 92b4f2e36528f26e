import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from fulcra.errors import InputError
from fulcra.formulas.intervals import crossing, log2_margin, rule_of_three, wilson

LADDER = [0.1, 0.2, 0.4, 0.8, 1.6]


@given(n=st.integers(1, 500), share=st.floats(0, 1), level=st.sampled_from((0.8, 0.9, 0.95, 0.99)))
def test_wilson_equals_statsmodels(n: int, share: float, level: float) -> None:
    successes = round(share * n)
    rate = wilson(successes, n, level)
    assert (rate.low, rate.high) == pytest.approx(
        proportion_confint(successes, n, 1 - level, method="wilson"), abs=1e-9
    )
    assert rate.low <= rate.value <= rate.high
    assert rate.n == n


def test_nothing_observed_says_nothing() -> None:
    rate = wilson(0, 0)
    assert math.isnan(rate.value)
    assert rate[1:] == (0.0, 1.0, 0)


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 2)])
def test_more_successes_than_trials_are_refused(successes: int, n: int) -> None:
    with pytest.raises(InputError, match="expected 0 <= successes <= n"):
        wilson(successes, n)


@given(n=st.integers(30, 10_000))
def test_the_rule_of_three_is_the_rate_that_shows_nothing_once_in_twenty(n: int) -> None:
    assert (1 - rule_of_three(n)) ** n == pytest.approx(0.05, abs=0.008)


def test_the_rule_of_three_is_a_rate() -> None:
    assert rule_of_three(0) == rule_of_three(2) == 1


@given(ceiling=st.floats(0.01, 10), trigger=st.floats(0.01, 10))
def test_the_margin_is_positive_exactly_when_the_law_says_open(
    ceiling: float, trigger: float
) -> None:
    margin = log2_margin(ceiling, trigger)
    assert margin is not None
    assert 2**margin == pytest.approx(ceiling / trigger)
    assert (margin > 0) == (trigger < ceiling)


def test_a_censored_edge_has_no_margin() -> None:
    assert log2_margin(None, 1.0) is None
    assert log2_margin(1.0, None) is None


def test_a_margin_of_signed_gains_is_refused() -> None:
    with pytest.raises(InputError, match="gains of a branch are positive"):
        log2_margin(1.0, -0.5)


@given(edge=st.floats(0.11, 1.59), slope=st.floats(0.1, 10))
def test_a_crossing_of_a_curve_linear_in_log_gain_is_exact(edge: float, slope: float) -> None:
    values = [slope * math.log(gain / edge) for gain in LADDER]
    assert crossing(LADDER, values, 0.0) == pytest.approx(edge)


@given(edge=st.floats(0.02, 0.9))
def test_a_crossing_of_a_quadratic_curve_is_near_on_a_fine_ladder(edge: float) -> None:
    gains = np.geomspace(0.01, 1, 200).tolist()
    assert crossing(gains, [gain**2 for gain in gains], edge**2) == pytest.approx(edge, rel=1e-3)


@given(values=st.lists(st.floats(-5, 5), min_size=5, max_size=5), level=st.floats(-5, 5))
def test_a_crossing_lies_at_or_before_the_first_rung_that_reaches_the_level(
    values: list[float], level: float
) -> None:
    rate = crossing(LADDER, values, level)
    reached = [gain for gain, value in zip(LADDER, values, strict=True) if value >= level]
    assert (rate is None) == (not reached)
    if rate is not None and values[0] < level:
        assert rate <= reached[0] * (1 + 1e-12)
        assert all(gain <= rate * (1 + 1e-12) for gain in LADDER[: LADDER.index(reached[0])])


@given(low=st.floats(-5, 5), high=st.floats(-5, 5))
def test_a_higher_level_is_crossed_no_earlier(low: float, high: float) -> None:
    assume(low < high)
    values = [-4.0, -1.0, 0.5, 0.2, 4.0]
    earlier, later = crossing(LADDER, values, low), crossing(LADDER, values, high)
    assert later is None or (earlier is not None and earlier <= later * (1 + 1e-12))


def test_a_curve_already_there_crosses_at_the_first_rung_and_a_low_one_never() -> None:
    assert crossing(LADDER, [1.0] * 5, 0.5) == 0.1
    assert crossing(LADDER, [0.1] * 5, 0.5) is None
    assert crossing([], [], 0.5) is None


def test_beside_a_value_that_is_not_finite_the_edge_is_the_reaching_rung() -> None:
    assert crossing(LADDER, [0, 0, math.inf, 1, 1], 0.5) == 0.4
    assert crossing(LADDER, [0, math.nan, 1, 1, 1], 0.5) == 0.4
    assert crossing(LADDER, [math.nan] * 5, 0.5) is None


@pytest.mark.parametrize("gains", [[0.1, 0.2], [0.2, 0.1, 0.4], [0.0, 0.1, 0.2], [-0.1, 0.1, 0.2]])
def test_a_ladder_that_does_not_climb_is_refused(gains: list[float]) -> None:
    with pytest.raises(InputError, match="gains positive and increasing"):
        crossing(gains, [0.0, 0.5, 1.0], 0.5)
