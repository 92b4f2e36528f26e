"""Gradients of a scalar of the logits by every neuron's activation, one layer's write at a time.

The down projection is linear, so dL/dh_j is v_j . dL/dy, where y is what the MLP writes: the graph
holds one vector a layer (one an expert in a mixture, times its router weights), and all neurons
follow from it. Exact in every family, a norm after the MLP included. A mixture's choice of experts
is not differentiated: no gradient leads to an expert that was not chosen.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fulcra.errors import ModelCheckError, ModelError
from fulcra.models.adapter import Model, by_row, is_plain
from fulcra.models.experts import n_experts
from fulcra.models.prefixes import Prefixed
from fulcra.models.read_hooks import hooked, mlp_place

#: The scalar to differentiate, from logits [row, scored, vocab].
Scalar = Callable[[Tensor], Tensor]


def require_gradients(model: Model) -> None:
    """ModelError where weights are quantized or offloaded: what runs must be differentiable."""
    for layer in range(model.n_layers):
        place = mlp_place(model, layer)
        weights = [place.down_proj] if model.experts(layer) is not None else [place.weight]
        if not all(is_plain(weight) for weight in weights):
            raise ModelError(
                f"gradients: the weights at {model.place(layer)} of {model.name!r} are quantized or"
                " offloaded; load the model without bits and on one device, or use a screen that"
                " only runs forward (contrastive, geometry, dosed_logit, window, concept)"
            )


def neuron_gradients(
    rows: Prefixed, scalar: Scalar, shift: Tensor | None = None
) -> tuple[float, Tensor]:
    """The scalar, and its derivative by a shift of each activation at `acts`, [layer, d_mlp].

    float32, on the CPU. `shift` [layer, d_mlp], on the CPU, is added to the activations there
    first; the derivative is then by the layers that it moves, and 0 by the others. One forward pass
    and one backward to the first of these layers; memory O(layers x d_model) beside them.
    """
    model = rows.model
    require_gradients(model)
    moved = [i for i in range(model.n_layers) if shift is None or bool(shift[i].any())]
    leaves = {layer: _leaf(model, layer, shift) for layer in moved}
    handles = [
        mlp_place(model, layer).register_forward_hook(_adding(rows, layer, leaf))
        for layer, leaf in leaves.items()
    ]
    with hooked(handles), _constant(model.hf), torch.enable_grad():
        value = scalar(rows.scored_logits())
        inputs = list(leaves.values())
        by_write = torch.autograd.grad(value, inputs, allow_unused=True) if inputs else ()
    silent = [layer for layer, gradient in zip(moved, by_write, strict=True) if gradient is None]
    if silent:
        raise ModelCheckError(
            f"gradients: no gradient reached {model.place(silent[0])} of {model.name!r}; load it"
            " uncompiled"
        )
    by_neuron = torch.zeros(model.n_layers, model.d_mlp)
    for layer, gradient in zip(moved, by_write, strict=True):
        by_neuron[layer] = _by_neuron(model, layer, gradient)
    return float(value.detach()), by_neuron


@contextmanager
def _constant(module: nn.Module) -> Iterator[None]:
    """A block in which no weight is differentiated, so that nothing is held for it."""
    learned = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in learned:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learned:
            weight.requires_grad_(True)


def _leaf(model: Model, layer: int, shift: Tensor | None) -> Tensor:
    """What is added to a layer's write: [d_model], or [expert, d_model] before router weights."""
    experts = model.experts(layer)
    shape = (model.d_model,) if experts is None else (n_experts(experts), model.d_model)
    leaf = torch.zeros(shape, device=model.device_at(layer))
    if shift is not None:
        moved = shift[layer, : model.width(layer), None].to(leaf.device)
        written = moved * model.writes(layer).to(leaf.device)
        leaf += written.unflatten(0, (*shape[:-1], -1)).sum(-2)
    return leaf.requires_grad_()


def _by_neuron(model: Model, layer: int, by_write: Tensor) -> Tensor:
    writes = model.writes(layer).to(by_write.device)
    grouped = writes.unflatten(0, (*by_write.shape[:-1], -1))
    gradient = (grouped * by_write[..., None, :]).sum(-1).flatten()
    return nn.functional.pad(gradient, (0, model.d_mlp - len(gradient))).cpu()


def _adding(rows: Prefixed, layer: int, leaf: Tensor) -> Any:
    """A hook that adds a layer's leaf to what its MLP writes, at the positions of `acts`."""
    model, count = rows.model, len(rows.acts)

    def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        acts = rows.acts.to(output.device)
        wrote = by_row(output, count)
        if model.experts(layer) is None:
            more = acts[..., None] * leaf
        else:
            ids, weights = (by_row(part, count) for part in args[1:3])
            chosen = nn.functional.one_hot(ids, len(leaf)).float()
            routed = (chosen * weights.float()[..., None]).sum(-2)
            more = acts[..., None] * (routed @ leaf)
        return (wrote + more.to(wrote.dtype)).view_as(output)

    return hook
