"""Holm's correction against the definition it is a shortcut for: closed testing by Bonferroni."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulcra.formulas.correction import holm


def closed(p_values: list[float], place: int) -> float:
    """The largest Bonferroni p-value of any set of hypotheses with this one in it."""
    others = [p for i, p in enumerate(p_values) if i != place]
    sets = (s for size in range(len(others) + 1) for s in combinations(others, size))
    return max(min(1.0, (len(s) + 1) * min(p_values[place], *s, 1.0)) for s in sets)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_closed_testing(p_values: list[float]) -> None:
    corrected = [closed(p_values, place) for place in range(len(p_values))]
    assert holm(p_values) == pytest.approx(corrected, abs=1e-12)


def test_nothing_is_corrected_to_nothing() -> None:
    assert holm([]) == []
