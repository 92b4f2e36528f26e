"""Gradients of a scalar of the logits with respect to every neuron's activation, float32, one
layer's write at a time.

The down projection is linear, so dL/dh_j is v_j . dL/dy, where y is what the MLP writes: the graph
holds one vector a layer (one an expert in a mixture, times its router weights), and all neurons
follow from it. Exact in every family, a norm after the MLP included. A mixture's choice of experts
is not differentiated: no gradient leads to an expert that was not chosen.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fulcra.errors import ModelCheckError, ModelError
from fulcra.models.adapter import Model, by_row, is_plain
from fulcra.models.experts import n_experts
from fulcra.models.read_hooks import mlp_place, positions_of

#: The scalar to differentiate, from logits [row, kept, vocab].
Scalar = Callable[[Tensor], Tensor]


class Rows(NamedTuple):
    """Token ids and attention mask [row, pos], which positions a shift acts on [row, pos], and the
    positions whose logits count.
    """

    ids: Tensor
    mask: Tensor
    acts: Tensor
    kept: slice


def require_gradients(model: Model) -> None:
    """ModelError where a layer's weights are quantized or offloaded: what is differentiated must be
    what runs.
    """
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
    model: Model, rows: Rows, scalar: Scalar, shift: Tensor | None = None
) -> tuple[float, Tensor]:
    """The scalar, and its derivative by a shift of each neuron's activation at all positions of
    `acts`, [layer, d_mlp], float32.

    `shift` [layer, d_mlp], on the CPU, is added to the activations there first. One forward and one
    backward pass; memory O(layers x d_model) beside the pass itself.
    """
    require_gradients(model)
    leaves = [_leaf(model, layer, shift) for layer in range(model.n_layers)]
    with _shifted(model, rows, leaves), torch.enable_grad():
        out = model.hf(
            input_ids=rows.ids,
            attention_mask=rows.mask,
            position_ids=positions_of(rows.mask),
            use_cache=False,
        )
        value = scalar(out.logits[:, rows.kept])
        by_write = torch.autograd.grad(value, leaves, allow_unused=True)
    silent = [layer for layer, one in enumerate(by_write) if one is None]
    if silent:
        raise ModelCheckError(
            f"gradients: no gradient reached {model.place(silent[0])} of {model.name!r}; load it"
            " uncompiled"
        )
    return float(value.detach()), torch.stack(
        [_by_neuron(model, layer, one) for layer, one in enumerate(by_write)]
    )


def _leaf(model: Model, layer: int, shift: Tensor | None) -> Tensor:
    """What is added to a layer's write, [d_model], or [expert, d_model] before the router's
    weights.
    """
    experts = model.experts(layer)
    shape = (model.d_model,) if experts is None else (n_experts(experts), model.d_model)
    leaf = torch.zeros(shape, device=model.device_at(layer))
    if shift is not None and bool(shift[layer].any()):
        moved, writes = (
            shift[layer, : model.width(layer), None].to(leaf.device),
            model.writes(layer).to(leaf.device),
        )
        leaf += (moved * writes).unflatten(0, (*shape[:-1], -1)).sum(-2)
    return leaf.requires_grad_()


def _by_neuron(model: Model, layer: int, by_write: Tensor) -> Tensor:
    writes = model.writes(layer).to(by_write.device)
    found = (
        (writes.unflatten(0, (*by_write.shape[:-1], -1)) * by_write[..., None, :]).sum(-1).flatten()
    )
    return nn.functional.pad(found, (0, model.d_mlp - len(found))).cpu()


@contextmanager
def _shifted(model: Model, rows: Rows, leaves: Sequence[Tensor]) -> Iterator[None]:
    def adding(layer: int) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            acts = rows.acts.to(output.device)
            seen = by_row(output, len(rows.ids))
            if model.experts(layer) is None:
                more = acts[..., None] * leaves[layer]
            else:
                ids, weights = (by_row(one, len(rows.ids)) for one in args[1:3])
                routed = (
                    nn.functional.one_hot(ids, len(leaves[layer])).float()
                    * weights.float()[..., None]
                )
                more = acts[..., None] * (routed.sum(-2) @ leaves[layer])
            return (seen + more.to(seen.dtype)).view_as(output)

        return hook

    with ExitStack() as stack:
        for layer in range(model.n_layers):
            stack.callback(mlp_place(model, layer).register_forward_hook(adding(layer)).remove)
        yield
