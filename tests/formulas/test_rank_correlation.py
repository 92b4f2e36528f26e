"""Spearman's rho against scipy's, its p against all permutations, and what has no order."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from fulcra.formulas.rank_correlation import rank_cosines, spearman, stratum_ranks


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


def test_in_one_stratum_the_cosine_of_ranks_is_rho() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=20), rng.integers(5, size=20)
    ranks = [stratum_ranks(column, ["a"] * 20) for column in (first, second)]
    rho = rank_cosines(*ranks, np.ones((1, 20)))
    assert rho[0] == pytest.approx(spearmanr(first, second).statistic)


def test_ranks_within_strata_do_not_tell_strata_apart() -> None:
    first, second = [1, 2, 3, 101, 102, 103], [3, 2, 1, 103, 102, 101]
    strata = ["a"] * 3 + ["b"] * 3
    ranks = [stratum_ranks(column, strata) for column in (first, second)]
    weightings = np.array([[1] * 6, [1, 0, 1, 0, 0, 0], [0] * 6])
    assert rank_cosines(*ranks, weightings) == pytest.approx([-1, -1, math.nan], nan_ok=True)
    assert stratum_ranks([5.0], ["a"]).tolist() == [0]
