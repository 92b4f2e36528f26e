"""A shift of the stream against its clean spread: whitening, and its cosine with each write."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

#: Share of the mean variance in the clean covariance: .5 C + .5 tr(C)/d I. On apothecary-sparse .2
#: to .5 notice the same doses, and .5 raises the fewest false alarms on other requests.
RIDGE = 0.5
#: No length is divided by that is smaller.
LEAST = 1e-12


class Whitening(NamedTuple):
    """The clean mean of a vector, and how much is left of it along each of `rank` directions.

    The square root of the inverse of the shrunk covariance, in units of its smallest variance.
    """

    center: Float[Tensor, "d_model"]
    basis: Float[Tensor, "rank d_model"]
    left: Float[Tensor, "rank"]


def whitening(clean: Float[Tensor, "window d_model"], ridge: float = RIDGE) -> Whitening:
    """The whitening of clean vectors: their covariance shrunk by `ridge` towards its mean."""
    center = clean.double().mean(0)
    deviations = clean.double() - center
    _, sizes, basis = torch.linalg.svd(deviations, full_matrices=False)
    variance = sizes.square() / len(clean)
    floor = (ridge * variance.sum() / clean.shape[1]).clamp(min=LEAST)
    left = (floor / (floor + (1 - ridge) * variance)).sqrt()
    return Whitening(center.float(), basis.float(), left.float())


def whitened(
    spread: Whitening, shifts: Float[Tensor, "row d_model"]
) -> Float[Tensor, "row d_model"]:
    """Shifts from the clean mean with the clean spread taken out of them."""
    along = shifts @ spread.basis.T * (1 - spread.left)
    return shifts - along @ spread.basis


def usual(values: Float[Tensor, "window neuron"], share: float = 0.95) -> Float[Tensor, "neuron"]:
    """The clean quantile of |value| of every neuron, at least the median neuron's."""
    each = values.abs().quantile(share, dim=0)
    return torch.maximum(each, each.median()).clamp(min=LEAST)
