"""How many directions a matrix has: the effective rank of its singular values."""

import torch
from torch import Tensor


def effective_rank(matrix: Tensor) -> float:
    """The participation ratio of the squared singular values, (sum s^2)^2 / sum s^4.

    matrix [rows, columns], any units. From 1 (one direction) to the smaller width (all alike); 0 of
    a matrix of zeros.
    """
    squares = torch.linalg.svdvals(matrix.double()).square()
    total = squares.sum()
    return float(total.square() / squares.square().sum()) if total > 0 else 0.0
