"""One-feature regressions against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fulcra.formulas.logistic import held_out_accuracy, one_feature_logistic

LABELS = torch.tensor([0.0, 1.0] * 12)
VALUES = torch.randn(24, 5, generator=torch.Generator().manual_seed(0)) + LABELS[
    :, None
] * torch.arange(5)


def test_slope_and_intercept_are_those_of_scikit_learn() -> None:
    slopes, intercepts = one_feature_logistic(VALUES, LABELS)
    for feature in range(5):
        oracle = LogisticRegression(tol=1e-8).fit(VALUES[:, [feature]].numpy(), LABELS.numpy())
        assert float(slopes[feature]) == pytest.approx(
            float(oracle.coef_[0, 0]), rel=1e-3, abs=1e-4
        )
        assert float(intercepts[feature]) == pytest.approx(
            float(oracle.intercept_[0]), rel=1e-3, abs=1e-4
        )


def test_a_feature_that_is_the_label_is_always_right_and_a_constant_one_never_tells() -> None:
    values = torch.stack([LABELS * 3 - 1, torch.ones(24)], 1)
    accuracy = held_out_accuracy(values, LABELS, 4)
    assert accuracy[0] == 1.0
    assert accuracy[1] <= 0.5


def test_accuracy_is_that_of_the_held_out_fold() -> None:
    accuracy = held_out_accuracy(VALUES, LABELS, 3)
    fold = np.empty(24, dtype=int)
    for label in (0, 1):
        where = np.flatnonzero(LABELS.numpy() == label)
        fold[where] = np.arange(len(where)) % 3
    right = 0.0
    for held in range(3):
        train, test = VALUES[fold != held, 2:3], VALUES[fold == held, 2:3]
        center, spread = train.mean(0), train.std(0)
        oracle = LogisticRegression().fit(
            ((train - center) / spread).numpy(), LABELS[fold != held].numpy()
        )
        right += float(
            (
                oracle.predict(((test - center) / spread).numpy()) == LABELS[fold == held].numpy()
            ).sum()
        )
    assert float(accuracy[2]) == pytest.approx(right / 24)
