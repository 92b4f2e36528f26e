"""All neurons of a model read in clean passes: rows of activations, their means, their extents."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.models.adapter import Model
from fulcra.models.batches import batches
from fulcra.models.finite import require_finite
from fulcra.models.read_hooks import layer_activations, mlp_inputs

Rows = Sequence[tuple[int, ...]]


def activations(model: Model, prompts: Rows, batch: int = 32) -> Iterator[Tensor]:
    """Activations at the last prompt token, one [batch, layer, d_mlp] float32 tensor a batch.

    On the model's device. In a mixture the neurons of all experts stand one after another
    (`Model.neuron` names them), 0 where not routed.
    """

    def last(layer: int, inputs: Tensor) -> Tensor:
        return inputs[:, -1]

    for part in batches(model, prompts, batch, left=True):
        with torch.no_grad(), mlp_inputs(model, len(part.ids), last) as inputs:
            model.hf(**part.inputs, use_cache=False, logits_to_keep=1)
            layers = [
                layer_activations(model, layer, inputs[layer]).to(model.device)
                for layer in range(model.n_layers)
            ]
        yield torch.stack(layers, 1)


@torch.no_grad()
def mean_activations(model: Model, prompts: Rows, span: int = 1, batch: int = 32) -> Tensor:
    """Mean activation over the last `span` tokens of every prompt, [layer, d_mlp], float32.

    On the CPU. Cost: one pass a batch through the blocks, no unembedding; memory O(layers x d_mlp)
    beside the pass, in a mixture times the tokens of a batch. InputError where a prompt is shorter
    than `span`, and by name for a neuron whose activation is not a finite number.
    """
    shortest = min(map(len, prompts), default=0)
    if shortest < span:
        raise InputError(
            f"mean_activations() got span {span} and {len(prompts)} prompts, the shortest of"
            f" {shortest} tokens; give prompts, and ask for no more tokens than each has"
        )

    def summed(layer: int, inputs: Tensor) -> Tensor:
        ends = inputs[:, -span:].flatten(0, 1)
        return ends.float().sum(0, keepdim=True) if model.experts(layer) is None else ends

    total = torch.zeros(model.n_layers, model.d_mlp, device=model.device)
    for part in batches(model, prompts, batch, left=True):
        with mlp_inputs(model, len(part.ids), summed) as sums:
            model.hf.base_model(**part.inputs, use_cache=False)
        for layer, inputs in sums.items():
            total[layer] += layer_activations(model, layer, inputs).sum(0).to(total.device)
    means = (total / (span * len(prompts))).cpu()
    require_finite(model, means)
    return means


@torch.no_grad()
def natural_extent(model: Model, rows: Rows, batch: int = 32) -> Tensor:
    """Largest |activation| of every neuron over all positions but the first, [layer, d_mlp].

    float32. In a mixture over the tokens routed to its expert, 0 where there are none.
    """
    extent = torch.zeros(model.n_layers, model.d_mlp, device=model.device)
    for part in batches(model, rows, batch):
        real = part.mask.bool()
        real[:, 0] = False

        def largest(layer: int, inputs: Tensor, real: Tensor = real) -> Tensor:
            tokens = inputs[real.to(inputs.device)]
            return tokens.abs().amax(0, keepdim=True) if model.experts(layer) is None else tokens

        with mlp_inputs(model, len(part.ids), largest) as reads:
            model.hf(**part.inputs, use_cache=False, logits_to_keep=1)
        for layer, inputs in reads.items():
            values = layer_activations(model, layer, inputs).abs().amax(0)
            extent[layer] = torch.maximum(extent[layer], values.to(extent.device))
    return extent.cpu()
