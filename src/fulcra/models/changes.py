"""What a tuning changed: the weights of a model against those of the model it was tuned from."""

from typing import NamedTuple

from fulcra.errors import ModelError
from fulcra.formulas.spectrum import effective_rank
from fulcra.models.adapter import Model


class Change(NamedTuple):
    """How many matrices moved, and the sum of the effective ranks of their changes."""

    matrices: int
    freedom: float


def change_since(parent: Model, model: Model) -> Change:
    """What lies between two models of one architecture, over every matrix of their weights.

    `freedom` counts effective directions: about K for K tuned neurons in each matrix they touch, at
    most r a matrix for an adapter of rank r. ModelError where names or shapes differ.
    """
    before, after = (dict(each.hf.named_parameters()) for each in (parent, model))
    shapes = [{name: weight.shape for name, weight in each.items()} for each in (before, after)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"model {model.name!r}: its weights have other names or shapes than those of"
            f" {parent.name!r}; give models of one architecture"
        )
    changes = [
        (after[name].detach() - weight.detach()).float()
        for name, weight in before.items()
        if weight.ndim == 2
    ]
    ranks = [effective_rank(change) for change in changes if change.any()]
    return Change(len(ranks), sum(ranks))
