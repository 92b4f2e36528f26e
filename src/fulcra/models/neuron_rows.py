"""The neurons of one layer at every position of some texts, and the modules that make them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fulcra.errors import ModelError
from fulcra.models.adapter import Model
from fulcra.models.batches import batches
from fulcra.models.read_hooks import layer_activations, mlp_inputs


@torch.no_grad()
def layer_rows(
    model: Model, layer: int, texts: Sequence[tuple[int, ...]], batch: int = 32
) -> Tensor:
    """Activations of one layer at every position of every text, [pos, neuron], float32; CPU."""
    parts = []
    for part in batches(model, texts, batch):
        real = part.mask.bool()

        def chosen(place: int, inputs: Tensor, real: Tensor = real) -> Tensor:
            return inputs[real.to(inputs.device)] if place == layer else inputs[:0, 0]

        with mlp_inputs(model, len(part.ids), chosen) as inputs:
            model.hf(**part.inputs, use_cache=False, logits_to_keep=1)
        parts.append(layer_activations(model, layer, inputs[layer]).cpu())
    return torch.cat(parts)[:, : model.width(layer)]


def reading_modules(model: Model, layer: int) -> list[str]:
    """The names of the modules whose row j makes neuron j: up projection, and gate if there is one.

    ModelError where gate and up are fused in one weight, or none is found.
    """
    down, place = model.down(layer), model.place(layer)
    parent = place.rpartition(".")[0]
    width, names = model.width(layer), []
    for name, module in model.hf.get_submodule(parent).named_children():
        weight = getattr(module, "weight", None)
        if module is down or not isinstance(weight, Tensor) or weight.ndim != 2:
            continue
        if _rows_out(module, weight) == width:
            names.append(f"{parent}.{name}")
        elif _rows_out(module, weight) == 2 * width:
            raise ModelError(
                f"{parent}.{name} of {model.name} is gate and up fused in one weight, so a neuron's"
                " read is not one row"
            )
    if not names:
        raise ModelError(f"no module beside {place} of {model.name} has one row a neuron")
    return names


def _rows_out(module: nn.Module, weight: Tensor) -> int:
    """How many numbers a projection gives, whichever way its weight is stored."""
    return weight.shape[1] if hasattr(module, "nx") else weight.shape[0]
