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
    """The lowest neuron whose activation is not a finite number at some position of `tokens` under
    `edits`; one pass.
    """
    ids = torch.tensor([tokens], device=model.device)
    with applied_rows(model, [edits]), mlp_inputs(model, 1, lambda layer, seen: seen[0]) as found:
        model.hf(input_ids=ids, use_cache=False, logits_to_keep=1)
    for layer in range(model.n_layers):
        broken = (
            (~layer_activations(model, layer, found[layer]).isfinite())
            .any(0)
            .nonzero()[:, 0]
            .tolist()
        )
        if broken:
            return model.neuron(layer, broken[0])
    return None


def require_finite(model: Model, means: Tensor, layers: Sequence[int]) -> None:
    """InputError naming the first neuron of `layers` whose mean activation [layer, d_mlp] is not a
    finite number.
    """
    broken = (~means.isfinite()).nonzero()
    if len(broken):
        row, index = broken[0].tolist()
        raise InputError(
            f"neuron {model.neuron(layers[row], index).site}: its activation is"
            f" {float(means[row, index])} on these prompts, and so are {len(broken) - 1} more; load"
            " the model in float32 or leave the prompt out"
        )
