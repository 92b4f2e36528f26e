"""Neurons among the most active on nearly any prompt, of no behavior (paper B)."""

from collections.abc import Sequence

import torch

from fulcra.behaviors.generic import OPENINGS
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.activations import activations
from fulcra.screens.contrastive import TOP_SHARE
from fulcra.types import Neuron

ON_PROMPTS = 0.8


def universal(
    model: Model,
    prompts: Sequence[str] = OPENINGS,
    system: str | None = None,
    *,
    top: float = TOP_SHARE,
    share: float = ON_PROMPTS,
) -> tuple[Neuron, ...]:
    """The neurons in the top .1 % by |activation| on 80 % or more of diverse prompts; pole +.

    At the last prompt token. `top` of all neurons and `share` of the prompts lie in (0, 1], else
    InputError. `Ranking.without` takes both poles. Cost: one forward pass a prompt.
    """
    if not prompts:
        raise InputError("universal() got no prompts: give diverse ones, or leave the bundled ones")
    for name, part in (("top", top), ("share", share)):
        if not 0 < part <= 1:
            raise InputError(f"universal(): {name} is {part}; give a share above 0, at most 1")
    counts = torch.zeros(model.n_layers * model.d_mlp)
    count = max(1, round(top * sum(model.width(layer) for layer in range(model.n_layers))))
    for batch in activations(model, [model.prompt_ids(text, system) for text in prompts]):
        for row in batch.abs().flatten(1).cpu():
            counts[row.topk(count).indices] += 1
    places = (counts >= share * len(prompts)).nonzero()[:, 0].tolist()
    return tuple(model.neuron(place // model.d_mlp, place % model.d_mlp) for place in places)
