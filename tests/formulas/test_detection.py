"""Figures of a detector: those of scikit-learn, laws of ranks, and intervals that cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from fulcra.errors import InputError
from fulcra.formulas.detection import best_threshold, detection

LABELLED = st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


@given(LABELLED, st.integers(-5, 5))
def test_the_figures_are_those_of_scikit_learn(
    rows: list[tuple[int, bool]], threshold: int
) -> None:
    scores, labels = np.array([float(s) for s, _ in rows]), np.array([label for _, label in rows])
    figures, called = detection(scores, labels, threshold), scores >= threshold
    assert figures.auroc.value == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert figures.accuracy.value == pytest.approx(metrics.accuracy_score(labels, called))
    assert figures.f1.value == pytest.approx(metrics.f1_score(labels, called, zero_division=0))
    assert figures.recall.value == pytest.approx(metrics.recall_score(labels, called))
    expected = metrics.precision_score(labels, called, zero_division=np.nan)
    assert figures.precision.value == pytest.approx(expected, nan_ok=True)
    false, true, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    assert figures.tpr_at_1.value == pytest.approx(true[false <= 0.01].max())
    assert figures.tpr_at_5.value == pytest.approx(true[false <= 0.05].max())


@given(LABELLED)
def test_no_threshold_beats_the_one_that_is_chosen(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([float(s) for s, _ in rows]), np.array([label for _, label in rows])
    if len(set(scores)) == 1:
        return

    def youden(threshold: float) -> float:
        return float((scores[labels] >= threshold).mean() - (scores[~labels] >= threshold).mean())

    # beyond all scores everything, or nothing, is called positive
    assert youden(best_threshold(scores, labels)) >= max(
        youden(t) for t in (*np.unique(scores)[1:], *(np.unique(scores)[1:] - 1e-3))
    )


def test_a_monotone_change_of_scores_changes_no_rank_figure() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(50) % 2 == 0
    scores = rng.normal(size=50) + labels
    left, other = detection(scores, labels, 0.0), detection(np.exp(scores), labels, 1.0)
    assert left == other
    flipped = detection(-scores, labels, 0.0)
    assert flipped.auroc.value == pytest.approx(1 - left.auroc.value)


def test_the_interval_covers_the_true_auroc_about_as_often_as_it_says() -> None:
    # two normals one standard deviation apart: AUROC = Phi(1 / sqrt 2) = .7602
    rng, inside = np.random.default_rng(1), 0
    for seed in range(60):
        labels = np.arange(80) % 2 == 0
        figures = detection(rng.normal(size=80) + labels, labels, 0.5, seed).auroc
        inside += figures.low <= 0.7602 <= figures.high
    assert 50 <= inside <= 60


def test_a_perfect_detector_is_certain_and_nothing_called_positive_has_no_precision() -> None:
    labels = np.array([True] * 8 + [False] * 8)
    perfect = detection(labels.astype(float), labels, 0.5)
    assert all((each.value, each.low, each.high, each.n) == (1.0, 1.0, 1.0, 16) for each in perfect)
    assert np.isnan(detection(labels.astype(float), labels, 9.0).precision.value)


def test_what_cannot_be_scored_is_refused() -> None:
    scores, both = np.array([1.0, 2.0, 3.0]), np.array([True, False, True])
    with pytest.raises(
        InputError, match="3 positive and 0 negative prompts; give prompts of both classes"
    ):
        detection(scores, np.array([True] * 3), 0.0)
    with pytest.raises(InputError, match="the score is 2 on all 3 prompts"):
        best_threshold(np.full(3, 2.0), both)
    with pytest.raises(InputError, match="1 of 3 scores are not finite"):
        detection(np.array([1.0, np.nan, 2.0]), both, 0.0)
