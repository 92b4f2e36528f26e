"""The numbers of a plan are those of the verdict's own rule, by exact binomial chances."""

import pytest
from scipy.stats import binom

from fulcra.errors import InputError
from fulcra.formulas.intervals import wilson
from fulcra.report.power import (
    LARGEST,
    chance_decided,
    fewest_open,
    prompts_to_decide,
    rate_resolved,
)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 16, 25, 64, 199])
def test_the_fewest_successes_are_where_the_interval_leaves_one_half(n: int) -> None:
    beyond = [k for k in range(n + 1) if wilson(k, n).low >= 0.5]
    assert min(fewest_open(n), n + 1) == min(beyond, default=n + 1)


@pytest.mark.parametrize(("rate", "n"), [(0.7, 50), (0.25, 16), (0.5, 40), (0.0, 5), (1.0, 3)])
def test_the_chance_is_the_binomial_one_of_both_sides(rate: float, n: int) -> None:
    least = fewest_open(n)
    exact = binom.sf(least - 1, n, rate) + binom.cdf(n - least, n, rate)
    assert chance_decided(rate, n) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.375, 0.44, 0.6, 0.75, 1.0])
def test_from_the_number_on_a_rate_is_decided_with_the_chance(rate: float) -> None:
    n = prompts_to_decide(rate)
    assert n is not None
    assert chance_decided(rate, n - 1) < 0.8
    assert all(chance_decided(rate, more) >= 0.8 for more in range(n, n + 60))


def test_no_number_decides_one_half_and_none_above_the_largest_is_named() -> None:
    assert prompts_to_decide(0.5) is None
    assert prompts_to_decide(0.51) is None
    assert (prompts_to_decide(0.55) or 0) < LARGEST


def test_a_resolved_rate_has_the_chance_and_a_smaller_one_has_not() -> None:
    rate = rate_resolved(16)
    assert rate is not None
    assert binom.sf(fewest_open(16) - 1, 16, rate) == pytest.approx(0.8, abs=1e-6)
    assert rate_resolved(3) is None


def test_what_is_no_rate_is_refused() -> None:
    with pytest.raises(InputError, match="expected a rate"):
        chance_decided(1.5, 10)
