"""The null: every branch in a random order."""

import torch

from fulcra.models import Model
from fulcra.types import Behavior, Ranking


def random(model: Model, behavior: Behavior, *, seed: int = 0) -> Ranking:
    """All branches, both poles, in an order that the seed alone decides."""
    branches = [
        model.neuron(layer, slot, pole)
        for layer in range(model.n_layers)
        for slot in range(model.width(layer))
        for pole in (1, -1)
    ]
    order = torch.randperm(len(branches), generator=torch.Generator().manual_seed(seed)).tolist()
    return Ranking(
        "random",
        tuple(branches[i] for i in order),
        tuple(float(len(order) - place) for place in range(len(order))),
    )
