"""Average precision against scikit-learn and against chance by enumeration."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from fulcra.formulas.classification import auroc
from fulcra.formulas.ranking import (
    at_top,
    aurocs,
    average_precision,
    average_precisions,
    chance_precision,
    corrected_precision,
    matched_difference,
    ranking_interval,
)

LISTS = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.sampled_from((1.0, 2.5, 10.0))),
    min_size=2,
    max_size=30,
)


@given(LISTS)
def test_average_precision_is_scikit_learns_with_ties_and_weights(
    rows: list[tuple[int, bool, float]],
) -> None:
    scores, marks, weights = (np.array(column) for column in zip(*rows, strict=True))
    if marks.any():
        oracle = average_precision_score(marks, scores, sample_weight=weights)
        assert average_precision(scores.astype(float), marks, weights) == pytest.approx(oracle)
    else:
        assert np.isnan(average_precision(scores.astype(float), marks, weights))


@given(LISTS)
def test_auroc_is_scikit_learns_with_ties_and_weights(rows: list[tuple[int, bool, float]]) -> None:
    scores, marks, weights = (np.array(column) for column in zip(*rows, strict=True))
    if marks.any() and not marks.all():
        oracle = roc_auc_score(marks, scores, sample_weight=weights)
        assert auroc(scores.astype(float), marks, weights) == pytest.approx(oracle)


@pytest.mark.parametrize("marked", [1, 2, 3])
def test_chance_is_the_mean_over_all_orders(marked: int) -> None:
    marks, ones = np.arange(6) < marked, np.ones(6)
    every = [
        average_precision(np.array(order, dtype=float), marks, ones)
        for order in permutations(range(6))
    ]
    assert chance_precision(marked, 6) == pytest.approx(np.mean(every), rel=1e-3)


def test_a_perfect_order_scores_one_and_chance_about_zero() -> None:
    rng = np.random.default_rng(0)
    marks, ones = np.arange(400) < 20, np.ones(400)
    assert corrected_precision(-np.arange(400.0), marks, ones) == pytest.approx(1.0)
    assert (
        abs(np.mean([corrected_precision(rng.random(400), marks, ones) for _ in range(200)])) < 0.02
    )


def test_a_weighted_sample_stands_for_its_population() -> None:
    scores = np.repeat(np.arange(40.0), 3)
    marks = np.repeat(np.arange(40) % 4 == 1, 3)
    whole = corrected_precision(scores, marks, np.ones(120))
    sample = corrected_precision(np.arange(40.0), np.arange(40) % 4 == 1, np.full(40, 3.0))
    assert sample == pytest.approx(whole)
    assert at_top(scores, marks, np.ones(120), 30) == pytest.approx(
        at_top(np.arange(40.0), np.arange(40) % 4 == 1, np.full(40, 3.0), 30)
    )


def test_the_interval_holds_the_value_and_narrows_with_more_clusters() -> None:
    def of_size(n: int) -> tuple[float, float]:
        rng = np.random.default_rng(1)
        marks = rng.random(n) < 0.2
        interval = ranking_interval(
            corrected_precision, marks + rng.normal(size=n), marks, np.ones(n), np.arange(n) // 2, 0
        )
        assert interval.low <= interval.value <= interval.high
        return interval.low, interval.high

    few, many = of_size(100), of_size(2000)
    assert many[1] - many[0] < few[1] - few[0]


def test_one_cluster_to_find_has_no_interval() -> None:
    marks = np.arange(20) < 2
    assert ranking_interval(
        corrected_precision, np.arange(20.0), marks, np.ones(20), np.arange(20) // 2, 0
    )[1:3] == (-np.inf, np.inf)


def test_matched_differences_compare_within_a_stratum_only() -> None:
    strata = np.repeat(np.arange(5), 20)
    values = strata * 100.0 + np.tile(np.arange(20), 5)
    assert matched_difference(
        values, np.tile(np.arange(20) == 19, 5), strata, 0
    ).value == pytest.approx(1.0)
    assert matched_difference(
        values, np.tile(np.arange(20) == 0, 5), strata, 0
    ).value == pytest.approx(-1.0)
    assert matched_difference(values, strata == 4, strata, 0).n == 0


@given(LISTS, st.integers(0, 99))
def test_many_weightings_are_each_what_one_is(
    rows: list[tuple[int, bool, float]], seed: int
) -> None:
    scores, marks, weights = (np.array(column) for column in zip(*rows, strict=True))
    values = scores.astype(float)
    draws = np.random.default_rng(seed).integers(0, 3, size=(7, len(rows)))
    precisions, areas = (
        rank(values, marks, draws * weights) for rank in (average_precisions, aurocs)
    )
    for draw, precision, area in zip(draws, precisions, areas, strict=True):
        there = draw > 0
        again = (marks[there], values[there], (draw * weights)[there])
        if marks[there].any():
            oracle = average_precision_score(*again[:2], sample_weight=again[2])
            assert precision == pytest.approx(oracle)
        if len(set(marks[there].tolist())) == 2:
            assert area == pytest.approx(roc_auc_score(*again[:2], sample_weight=again[2]))
        else:
            assert np.isnan(area)


@pytest.mark.parametrize("edge", [-np.inf, np.inf])
@pytest.mark.parametrize("marked", range(4))
def test_infinite_scores_tie_as_finite_ones_do(edge: float, marked: int) -> None:
    scores, marks, ones = np.array([edge] * 3 + [1.0]), np.arange(4) == marked, np.ones((1, 4))
    finite = np.where(np.isinf(scores), np.sign(edge) * 9.0, scores)
    for rank in (average_precisions, aurocs):
        assert rank(scores, marks, ones) == pytest.approx(rank(finite, marks, ones))
