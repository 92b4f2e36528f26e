"""Draws of unequal probability: the size is fixed, and weights give the whole back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulcra.errors import InputError
from fulcra.formulas.inclusion import inclusion_probabilities, systematic_sample

sizes = st.lists(st.floats(0.001, 1.0), min_size=1, max_size=40)


@given(sizes, st.integers(1, 50))
def test_chances_sum_to_the_count_and_stay_below_1(values: list[float], count: int) -> None:
    chances = inclusion_probabilities(values, count)
    assert chances.max() <= 1
    assert chances.sum() == pytest.approx(min(count, len(values)))
    assert len(systematic_sample(chances, 0)) == min(count, len(values))


def test_chances_are_in_proportion_and_the_large_are_certain() -> None:
    assert inclusion_probabilities([1, 1, 2], 2) == pytest.approx([0.5, 0.5, 1.0])
    assert inclusion_probabilities([1, 1, 8], 2) == pytest.approx([0.5, 0.5, 1.0])
    assert inclusion_probabilities([3, 1], 5) == pytest.approx([1, 1])


def test_each_case_is_drawn_as_often_as_its_chance_and_weights_give_the_sum_back() -> None:
    values = np.array([0.01, 0.02, 0.3, 0.7, 0.05, 0.05])
    chances = inclusion_probabilities(values, 3)
    draws = [systematic_sample(chances, seed) for seed in range(4000)]
    often = np.bincount(np.concatenate(draws), minlength=len(values)) / len(draws)
    assert often == pytest.approx(chances, abs=0.025)
    totals = [float((values / chances)[drawn].sum()) for drawn in draws]
    assert np.mean(totals) == pytest.approx(values.sum(), rel=0.02)


def test_a_size_of_none_is_refused() -> None:
    with pytest.raises(InputError, match="add a floor"):
        inclusion_probabilities([0.0, 1.0], 1)
