"""Activations to and from other libraries, in the form of a cache: hook name to [..., d_mlp]."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.interop.sites import Naming, lens_site
from fulcra.models import Model
from fulcra.models.read_hooks import mlp_inputs
from fulcra.models.reading import Activations
from fulcra.types import Neuron


@torch.no_grad()
def cache_of(model: Model, prompt: Sequence[int], naming: Naming = lens_site) -> dict[str, Tensor]:
    """Activations of all neurons at every token of a prompt, [1, pos, d_mlp] by hook name.

    In the model's dtype, on the CPU. What TransformerLens' run_with_cache gives; `naming` takes
    another library's names. Cost: one clean pass. InputError for a mixture of experts.
    """
    sites = [naming(model.neuron(layer, 0)) for layer in range(model.n_layers)]
    ids = torch.tensor([list(prompt)], device=model.device)
    with mlp_inputs(model, 1) as inputs:
        model.hf(input_ids=ids, use_cache=False, logits_to_keep=1)
    values = (inputs[layer] for layer in range(model.n_layers))
    return {
        site.hook: layer.cpu()
        for site, layer in zip(sites, values, strict=True)
        if isinstance(layer, Tensor)
    }


def activations_of(
    cache: Mapping[str, Tensor],
    neurons: Sequence[Neuron],
    tokens: Sequence[str],
    naming: Naming = lens_site,
) -> Activations:
    """Some neurons of another library's cache as `fulcra.read` gives them, for one text.

    `cache` holds [pos, d_mlp] or [1, pos, d_mlp] by hook name; `tokens` are the text's, as strings.
    InputError where a name is missing or a shape does not fit.
    """
    if not neurons:
        raise InputError("cache: no neuron was given; name one or more, as in L14.N2207")
    columns = [_column(cache, neuron, len(tokens), naming) for neuron in neurons]
    return Activations(tuple(neurons), (tuple(tokens),), (torch.stack(columns, -1),))


def _column(cache: Mapping[str, Tensor], neuron: Neuron, length: int, naming: Naming) -> Tensor:
    """Activations [pos] of one neuron, float32 on the CPU."""
    hook, column = naming(neuron)
    if hook not in cache:
        there = ", ".join(list(cache)[:3]) or "nothing"
        raise InputError(f"cache: no {hook}, where {neuron} stands; it holds {there}; save it too")
    values = cache[hook].detach().float().cpu()
    values = values[0] if values.ndim == 3 and len(values) == 1 else values
    if values.ndim != 2 or len(values) != length or column >= values.shape[1]:
        raise InputError(
            f"cache: {hook} has shape {list(cache[hook].shape)}, expected [1, {length}, d_mlp] with"
            f" column {column}; give one text, and its {length} tokens"
        )
    return values[:, column]
