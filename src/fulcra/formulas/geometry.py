"""Directions in the residual stream: cosines, chance and spread (law.md section 7)."""

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import betainc
from torch import Tensor


def length(stream: Float[Tensor, "*at d_model"]) -> Float[Tensor, "*at"]:
    """The Euclidean norm along the last axis."""
    return stream.square().sum(dim=-1).sqrt()


def cosine(
    left: Float[Tensor, "*#at d_model"], right: Float[Tensor, "*#at d_model"]
) -> Float[Tensor, "*#at"]:
    """The cosine along the last axis; 0 with a zero vector."""
    return torch.cosine_similarity(left, right, dim=-1)


def column_cosines(
    weights: Float[Tensor, "d_model d_mlp"], direction: Float[Tensor, "d_model"]
) -> Float[Tensor, "d_mlp"]:
    """The cosine of every column of W_down with a direction, in float32."""
    return cosine(weights.T.float(), direction.float())


def centred(stream: Float[Tensor, "*at d_model"]) -> Float[Tensor, "*at d_model"]:
    """The stream as a LayerNorm reads it: its mean over d_model taken out."""
    return stream - stream.mean(dim=-1, keepdim=True)


def chance_of_cosine(alignment: float, d_model: int, d_mlp: int, n_layers: int = 1) -> float:
    """An upper bound on the chance that one of L d_mlp random columns has |cos| >= c.

    With a fixed direction. min(1, 2 L d_mlp exp(-c^2 d / 2) / (c sqrt(2 pi d))), paper C; holds for
    d >= 3. L = 1 when the layer was fixed before.
    """
    if not alignment:
        return 1.0
    spread = abs(alignment) * math.sqrt(d_model)
    return min(
        1.0, 2 * n_layers * d_mlp * math.exp(-(spread**2) / 2) / (spread * math.sqrt(2 * math.pi))
    )


def expected_max_cosine(d_model: int, count: int) -> float:
    """The mean of the largest |cos| among `count` random directions with a fixed one.

    d >= 2; error below 1e-4.

    E max = integral over c in [0, 1] of 1 - F(c)^count, with F the law of |cos|: c^2 ~ Beta(1/2, (d
    - 1)/2).
    """
    grid = np.linspace(0.0, 1.0, 20_001)
    return float(np.trapezoid(1 - betainc(0.5, (d_model - 1) / 2, grid**2) ** count, grid))


def participation_ratio(samples: Float[Tensor, "sample d_model"]) -> float:
    """The effective number of dimensions of the samples, tr(C)^2 / tr(C^2), in [1, d_model].

    C is their covariance. nan when the samples do not vary.
    """
    spread = (samples - samples.mean(dim=0)).double()
    gram = spread @ spread.T if len(spread) < spread.shape[-1] else spread.T @ spread
    return float(gram.trace() ** 2 / gram.square().sum())
