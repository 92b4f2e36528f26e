"""Spearman's rho against scipy's, its p against all permutations, and what has no order."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from fulcra.formulas.rank_correlation import spearman


def test_rho_is_scipys_with_ties_too() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(4, size=30), rng.integers(4, size=30)
    assert spearman(first, second).rho == pytest.approx(spearmanr(first, second).statistic)


def test_p_is_that_of_all_orders() -> None:
    first, second = [1, 2, 3, 4, 5], [1.0, 3.0, 2.0, 5.0, 4.0]
    own = spearmanr(first, second).statistic
    orders = [spearmanr(first, order).statistic for order in itertools.permutations(second)]
    share = sum(order >= own - 1e-9 for order in orders) / len(orders)
    p_value = spearman(first, second).p_value
    assert p_value == pytest.approx(share, abs=0.02)


def test_infinite_values_rank_last_and_alike() -> None:
    assert spearman([1, 2, 3], [0.2, math.inf, math.inf]) == spearman([1, 2, 3], [0.2, 9, 9])


def test_what_does_not_vary_has_no_rho() -> None:
    for second in ([], [2, 2, 2]):
        none = spearman(range(len(second)), second)
        assert none == (None, None, None, None, len(second))
