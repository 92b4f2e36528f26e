"""What a tuning changed: the weights of a model against those of the model it was tuned from."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor

from fulcra.errors import ModelError
from fulcra.formulas.spectrum import effective_rank
from fulcra.models.adapter import Model


class Change(NamedTuple):
    """How many matrices moved, the sum of the effective ranks of their changes, and its size.

    `norm` is the Frobenius norm of all changes over that of all matrices before.
    """

    matrices: int
    freedom: float
    norm: float


def change_since(parent: Model, model: Model) -> Change:
    """What lies between two models of one architecture, over every matrix of their weights.

    `freedom` counts effective directions: about K for K tuned neurons in each matrix they touch,
    about r a matrix at most for an adapter of rank r (rounding of the weights adds a little to
    small changes). ModelError where names or shapes differ.
    """
    before, after = (dict(each.hf.named_parameters()) for each in (parent, model))
    shapes = [{name: weight.shape for name, weight in each.items()} for each in (before, after)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"model {model.name!r}: its weights have other names or shapes than those of"
            f" {parent.name!r}; give models of one architecture"
        )
    matrices = {
        name: weight.detach().float() for name, weight in before.items() if weight.ndim == 2
    }
    changes = [after[name].detach().float() - weight for name, weight in matrices.items()]
    ranks = [effective_rank(change) for change in changes if change.any()]
    return Change(len(ranks), sum(ranks), _norm(changes) / _norm(matrices.values()))


def _norm(matrices: Iterable[Tensor]) -> float:
    """The Frobenius norm of several matrices as one."""
    return math.sqrt(sum(float(matrix.double().square().sum()) for matrix in matrices))
