"""Neurons that an adapter leaves as they are in the base."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fulcra.errors import ModelError
from fulcra.models.lora import NAME, Lora
from fulcra.types import Neuron


def freeze(lora: Lora, neurons: Sequence[Neuron]) -> None:
    """Keep what the neurons read and what they write as in the base, for the rest of a training.

    Of an adapter that was not trained yet. ModelError where the MLP has no linear layers of its own
    that the neurons are rows of.
    """
    slots: dict[int, set[int]] = defaultdict(set)
    for neuron in neurons:
        slots[neuron.layer].add(lora.model.slot(neuron))
    for layer, chosen in slots.items():
        write, reads = _weights(lora, layer)
        width = lora.model.width(layer)
        _hold(write, torch.tensor(sorted(chosen)), 1)
        for weight in reads:
            rows = [slot + start for slot in chosen for start in range(0, len(weight), width)]
            _hold(weight, torch.tensor(sorted(rows)), 0)


def _weights(lora: Lora, layer: int) -> tuple[nn.Parameter, list[nn.Parameter]]:
    """What the adapter learns of a layer's neurons: columns of what they write, rows of reads."""
    model, down = lora.model, lora.model.down(layer)
    name = next(name for name, module in lora.layers.items() if module is down)
    parent, width = name.rpartition(".")[0], model.width(layer)
    beside = [
        module
        for other, module in lora.layers.items()
        if other.startswith(f"{parent}.") and module is not down
    ]
    reads = [each.lora_B[NAME].weight for each in beside]
    reads = [weight for weight in reads if len(weight) % width == 0]
    if not reads:
        raise ModelError(
            f"model {model.name!r}: beside {model.place(layer)} no linear layer has its neurons for"
            " rows, so none can be frozen; compare with another defence"
        )
    return lora.layers[name].lora_A[NAME].weight, reads


def _hold(weight: nn.Parameter, places: Tensor, axis: int) -> None:
    """Keep rows or columns of a weight at zero."""
    places = places.to(weight.device)
    weight.data.index_fill_(axis, places, 0.0)
    weight.register_hook(lambda gradient: gradient.index_fill(axis, places, 0.0))
