"""The number of independent events that happen, against every outcome counted one by one."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulcra.formulas.poisson_binomial import at_least, count_chances

CHANCES = st.lists(st.floats(0, 1), max_size=7)


def enumerated(chances: list[float]) -> list[float]:
    """The chance of every number of events, summed over all 2^n outcomes."""
    counts = [0.0] * (len(chances) + 1)
    for outcome in product((False, True), repeat=len(chances)):
        pairs = zip(outcome, chances, strict=True)
        counts[sum(outcome)] += float(np.prod([p if happens else 1 - p for happens, p in pairs]))
    return counts


@given(CHANCES)
def test_the_counts_are_those_of_all_outcomes(chances: list[float]) -> None:
    assert count_chances(np.array(chances)) == pytest.approx(enumerated(chances), abs=1e-12)


@given(CHANCES, CHANCES)
def test_events_counted_in_two_parts_are_counted_alike(
    first: list[float], second: list[float]
) -> None:
    before = count_chances(np.array(first))
    whole = count_chances(np.array(first + second))
    assert count_chances(np.array(second), before) == pytest.approx(whole, abs=1e-12)


def test_equal_chances_give_the_binomial() -> None:
    counts = count_chances(np.full(5, 0.3))
    binomial = [comb(5, k) * 0.3**k * 0.7 ** (5 - k) for k in range(6)]
    assert counts == pytest.approx(binomial)
    assert at_least(counts, 3) == pytest.approx(sum(binomial[3:]))


def test_every_row_is_counted_on_its_own() -> None:
    chances = np.random.default_rng(0).random((4, 2, 3))
    counts = count_chances(chances)
    assert counts.shape == (5, 2, 3)
    assert counts[:, 1, 2] == pytest.approx(enumerated(chances[:, 1, 2].tolist()))


@given(CHANCES)
def test_some_number_of_events_is_certain(chances: list[float]) -> None:
    counts = count_chances(np.array(chances))
    assert at_least(counts, 0) == pytest.approx(1)
    assert at_least(counts, len(chances) + 1) == 0
