"""Gradients of a scalar by what is added to the residual stream after a block, row by row."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from fulcra.models.adapter import Model
from fulcra.models.read_hooks import hooked


def stream_gradients(
    model: Model, layers: Iterable[int], rows: int, scalar: Callable[[], Tensor]
) -> dict[int, Tensor]:
    """The scalar's derivative by a vector added to every position after a block, [row, d_model].

    By layer. `scalar` runs the model once on a batch of so many rows; no weight gets a gradient.
    """
    leaves = {layer: _leaf(model, layer, rows) for layer in sorted(set(layers))}
    handles = [
        model.blocks[layer].register_forward_hook(_adding(leaf)) for layer, leaf in leaves.items()
    ]
    with hooked(handles), torch.enable_grad():
        gradients = torch.autograd.grad(scalar(), list(leaves.values()))
    return {layer: each[:, 0] for layer, each in zip(leaves, gradients, strict=True)}


def _leaf(model: Model, layer: int, rows: int) -> Tensor:
    shape, device = (rows, 1, model.d_model), model.device_at(layer)
    return torch.zeros(shape, device=device, dtype=model.dtype, requires_grad=True)


#: What a block hands on: the stream, in older models with more behind it.
Handed = Tensor | tuple[Tensor, ...]


def _adding(leaf: Tensor) -> Callable[[nn.Module, object, Handed], Handed]:
    def hook(module: nn.Module, args: object, output: Handed) -> Handed:
        if isinstance(output, Tensor):
            return output + leaf
        return (output[0] + leaf, *output[1:])

    return hook
