"""Where a model first meets numbers that are not finite: the layer and the neuron by name."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.models.adapter import Model
from fulcra.models.applying import applied_rows
from fulcra.models.read_hooks import layer_activations, mlp_inputs
from fulcra.types import Edits, Neuron


@torch.no_grad()
def first_broken(model: Model, tokens: Sequence[int], edits: Edits = ()) -> Neuron | None:
    """The lowest neuron with an activation that is not finite somewhere in `tokens`; one pass."""
    ids = torch.tensor([tokens], device=model.device)
    taps = mlp_inputs(model, 1, lambda layer, values: values[0])
    with applied_rows(model, [edits]), taps as inputs:
        model.hf(input_ids=ids, use_cache=False, logits_to_keep=1)
    for layer in range(model.n_layers):
        finite = layer_activations(model, layer, inputs[layer]).isfinite().all(0)
        if not bool(finite.all()):
            return model.neuron(layer, int(finite.logical_not().nonzero()[0]))
    return None


def require_finite(model: Model, means: Tensor) -> None:
    """InputError by name for the first mean activation, of [layer, d_mlp], that is not finite."""
    broken = (~means.isfinite()).nonzero()
    if len(broken):
        layer, slot = broken[0].tolist()
        raise InputError(
            f"neuron {model.neuron(layer, slot).site}: its activation is"
            f" {float(means[layer, slot])} on these prompts, and so are {len(broken) - 1} more;"
            " load the model in float32 or leave the prompt out"
        )
