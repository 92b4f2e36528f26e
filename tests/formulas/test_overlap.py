"""Overlap and depth of sets: exact small cases, symmetry, and the chance level of simulated
sets.
"""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulcra.errors import InputError
from fulcra.formulas.overlap import depth, overlap

SETS = st.sets(st.integers(0, 19))


@given(SETS, SETS)
def test_an_overlap_is_symmetric_and_its_p_a_probability(left: set[int], other: set[int]) -> None:
    both = overlap(left, other, 20)
    assert both.shared == len(left & other)
    assert both == pytest.approx(overlap(other, left, 20))
    assert 0 <= both.p <= 1 + 1e-12


def test_p_is_the_share_of_random_pairs_that_share_as_many() -> None:
    rng, total, fixed = random.Random(0), 40, set(range(8))
    draws = [len(fixed & set(rng.sample(range(total), 10))) for _ in range(20_000)]
    both = overlap(fixed, set(range(4, 14)), total)
    assert both.shared == 4
    assert both.expected == pytest.approx(sum(draws) / len(draws), abs=0.03)
    assert both.p == pytest.approx(sum(draw >= 4 for draw in draws) / len(draws), abs=0.01)


def test_equal_sets_and_disjoint_ones_are_the_ends() -> None:
    assert overlap({1, 2}, {1, 2}, 4) == pytest.approx((2, 1.0, 1 / 6))
    assert overlap({1}, {2}, 4).p == 1.0
    with pytest.raises(InputError, match="sets of 3 and 1 members of 2"):
        overlap({1, 2, 3}, {1}, 2)


def test_depth_counts_from_the_end_and_rounds_up() -> None:
    assert depth([7, 6, 5, 4], 8) == (0.75, 0.5, 0.25)
    assert depth(range(32), 32) == (3 / 32, 8 / 32, 4 / 32)
    assert depth([0, 1], 2) == (1.0, 0.5, 0.5)
    with pytest.raises(InputError, match="empty set"):
        depth([], 8)
