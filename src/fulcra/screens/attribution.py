"""Attribution patching and integrated gradients of the log-odds by the activations."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fulcra.models import Model
from fulcra.screens.objective import Phrases, objective_gradients
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
    """Branches by descending |gradient x delta|, on the pole of the gradient.

    The gradient of the log-odds at the last prompt token of the selection prompts; delta is the
    mean difference of the two contrast sets: to first order what patching one side into the other
    does.
    """
    gradients = objective_gradients(model, behavior, behavior.selection)[1]
    delta = contrast_of(model, behavior, "attribution").towards_flip
    signed = in_units(model, behavior, gradients * delta.abs(), units, clean)
    return ranked("attribution", model, signed, layers)


def path_gradients(model: Model, behavior: Behavior, delta: Tensor, steps: int = STEPS) -> Tensor:
    """Mean gradients while one layer at a time moves from 0 to `delta`, [layer, d_mlp].

    By the midpoint rule. Complete: the sum over a layer of gradient x delta is what the whole move
    does to the log-odds, up to the rule's error. Cost: layers x steps passes over the selection
    phrases, forward and back to that layer.
    """
    out, phrases = torch.zeros_like(delta), Phrases(model, behavior, behavior.selection)
    for layer in range(model.n_layers):
        for step in range(steps):
            shift = torch.zeros_like(delta)
            shift[layer] = delta[layer] * (step + 0.5) / steps
            out[layer] += phrases.gradients(shift=shift)[1][layer] / steps
    return out


def integrated(
    model: Model, behavior: Behavior, *, steps: int = STEPS, layers: Sequence[int] | None = None
) -> Ranking:
    """Branches by descending |integrated gradient| from one contrast set's mean to the other's."""
    delta = contrast_of(model, behavior, "integrated").towards_flip
    signed = path_gradients(model, behavior, delta, steps) * delta.abs()
    return ranked("integrated", model, signed, layers)
