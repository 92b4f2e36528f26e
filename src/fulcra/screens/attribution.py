"""Attribution patching and integrated gradients: what an exchange of the two sides' activations
would do to the log-odds.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fulcra.models import Model
from fulcra.screens.objective import objective_gradients
from fulcra.screens.scores import Clean, Units, contrast_of, in_units, ranked
from fulcra.types import Behavior, Ranking

STEPS = 4


def attribution(
    model: Model,
    behavior: Behavior,
    *,
    units: Units = "raw",
    clean: Clean | None = None,
    layers: Sequence[int] | None = None,
) -> Ranking:
    """Branches by descending |grad x delta| at the last prompt token of the selection prompts, on
    the pole of the gradient.

    delta is the mean difference of the two contrast sets: the first-order estimate of patching one
    side into the other.
    """
    found = objective_gradients(model, behavior, behavior.selection)[1]
    delta = contrast_of(model, behavior, "attribution").towards_flip
    return ranked(
        "attribution", model, in_units(model, behavior, found * delta.abs(), units, clean), layers
    )


def path_gradients(model: Model, behavior: Behavior, delta: Tensor, steps: int = STEPS) -> Tensor:
    """Gradients averaged while one layer at a time moves all its neurons from 0 to `delta`, [layer,
    d_mlp], midpoint rule.

    Complete: the sum over a layer of gradient x delta is what the whole move does to the log-odds,
    up to the rule's error. Cost: layers x steps forward and backward passes over the selection
    phrases.
    """
    out = torch.zeros_like(delta)
    for layer in range(model.n_layers):
        for step in range(steps):
            shift = torch.zeros_like(delta)
            shift[layer] = delta[layer] * (step + 0.5) / steps
            out[layer] += (
                objective_gradients(model, behavior, behavior.selection, shift=shift)[1][layer]
                / steps
            )
    return out


def integrated(
    model: Model, behavior: Behavior, *, steps: int = STEPS, layers: Sequence[int] | None = None
) -> Ranking:
    """Branches by descending |integrated gradient| from one contrast set's mean to the other's,
    layer by layer.
    """
    delta = contrast_of(model, behavior, "integrated").towards_flip
    return ranked(
        "integrated", model, path_gradients(model, behavior, delta, steps) * delta.abs(), layers
    )
