"""Scores of calls against scikit-learn and statsmodels, with and without weights."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_oracle

from fulcra.formulas.classification import auroc, brier, confusion, majority_calls, mcnemar

CASES = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def drawn(rng: np.random.Generator, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with ties, observations of both kinds and weights."""
    observed = np.array([True, False, *(rng.random(n) < 0.3)])
    return np.round(rng.normal(size=n + 2) + observed, 1), observed, rng.uniform(0.1, 5, n + 2)


@given(CASES)
def test_calls_are_scored_as_scikit_learn_scores_them(rng: np.random.Generator) -> None:
    scores, observed, weights = drawn(rng)
    for weight in (None, weights):
        table = confusion(scores > 0, observed, weight)
        assert table.accuracy == pytest.approx(
            metrics.accuracy_score(observed, scores > 0, sample_weight=weight)
        )
        assert table.balanced_accuracy == pytest.approx(
            metrics.balanced_accuracy_score(observed, scores > 0, sample_weight=weight)
        )
        assert table.mcc == pytest.approx(
            metrics.matthews_corrcoef(observed, scores > 0, sample_weight=weight), abs=1e-9
        )
        assert auroc(scores, observed, weight) == pytest.approx(
            metrics.roc_auc_score(observed, scores, sample_weight=weight)
        )
        chance = 1 / (1 + np.exp(-scores))
        assert brier(chance, observed, weight) == pytest.approx(
            metrics.brier_score_loss(observed, chance, sample_weight=weight)
        )


@given(CASES)
def test_mcnemar_is_the_exact_test_of_statsmodels(rng: np.random.Generator) -> None:
    first, second = rng.random((2, 40)) < 0.7
    table = [
        [(first & second).sum(), (first & ~second).sum()],
        [(~first & second).sum(), (~first & ~second).sum()],
    ]
    assert mcnemar(first, second) == pytest.approx(mcnemar_oracle(table, exact=True).pvalue)


def test_one_kind_of_observation_leaves_no_ranking_to_score() -> None:
    assert math.isnan(auroc([1.0, 2.0], [True, True]))
    assert math.isnan(confusion([True], [True]).balanced_accuracy)
    assert confusion([True, True], [True, False]).mcc == 0
    assert mcnemar([True, True], [True, True]) == 1


def test_the_majority_is_known_by_group_and_by_weight() -> None:
    observed, groups = [True, True, False, False, False], ["a", "a", "a", "b", "b"]
    assert majority_calls(observed, groups).tolist() == [True, True, True, False, False]
    assert majority_calls(observed, groups, [1, 1, 5, 1, 1]).tolist() == [False] * 5
    assert majority_calls([True, False], ["a", "a"]).tolist() == [False, False]
