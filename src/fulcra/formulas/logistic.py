"""One-feature logistic regressions, many features at once."""

import torch
from jaxtyping import Float
from torch import Tensor

NEWTON_STEPS = 25


def one_feature_logistic(
    values: Float[Tensor, "row feature"], labels: Float[Tensor, "row"], penalty: float = 1.0
) -> tuple[Float[Tensor, "feature"], Float[Tensor, "feature"]]:
    """Slope and intercept of each feature's own regression on labels 0 and 1, float64.

    By Newton's method. Minimises the log loss + penalty slope^2 / 2, as scikit-learn does with C =
    1 / penalty.
    """
    x, y = values.double(), labels.double()[:, None]
    slope, intercept = x.new_zeros(2, x.shape[1])
    for _ in range(NEWTON_STEPS):
        p = torch.sigmoid(x * slope + intercept)
        weight = (p * (1 - p)).clamp(min=1e-12)
        g_slope, g_intercept = ((p - y) * x).sum(0) + penalty * slope, (p - y).sum(0)
        h_ss, h_si, h_ii = (weight * x * x).sum(0) + penalty, (weight * x).sum(0), weight.sum(0)
        det = (h_ss * h_ii - h_si * h_si).clamp(min=1e-12)
        slope = slope - (h_ii * g_slope - h_si * g_intercept) / det
        intercept = intercept - (h_ss * g_intercept - h_si * g_slope) / det
    return slope, intercept


def held_out_accuracy(
    values: Float[Tensor, "row feature"], labels: Float[Tensor, "row"], folds: int
) -> Float[Tensor, "feature"]:
    """Cross-validated accuracy of each feature alone.

    Every fold holds its share of both labels, features scaled to unit spread. The scale is that of
    the training rows.
    """
    fold = torch.empty(len(labels), dtype=torch.long)
    for label in (0.0, 1.0):
        where = (labels == label).nonzero()[:, 0]
        fold[where] = torch.arange(len(where)) % folds
    right = torch.zeros(values.shape[1], dtype=torch.float64)
    for part in range(folds):
        train, test = values[fold != part], values[fold == part]
        center, spread = train.mean(0), train.std(0).clamp(min=1e-12)
        slope, intercept = one_feature_logistic((train - center) / spread, labels[fold != part])
        calls = ((test - center) / spread) * slope + intercept > 0
        right += (calls == (labels[fold == part] > 0)[:, None]).sum(0)
    return (right / len(labels)).float()
