"""A dose on some positions only, drawn one by one: what an attacker may do who is watched."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.models.adapter import Model
from fulcra.models.read_hooks import hooked
from fulcra.types import Neuron


@contextmanager
def partly_dosed(
    model: Model, neuron: Neuron, alpha: float, share: float, seed: int = 0
) -> Iterator[None]:
    """`alpha` [activation units, signed] added to a neuron on a drawn share of all positions.

    InputError for a neuron of an expert.
    """
    model.require(neuron)
    if neuron.expert is not None:
        raise InputError(f"neuron {neuron}: a dose on some positions is not made inside an expert")
    draw = torch.Generator().manual_seed(seed)

    def hook(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        inputs = args[0].clone()
        dosed = torch.rand(inputs.shape[:-1], generator=draw) < share
        inputs[..., neuron.index] += alpha * dosed.to(inputs.device, inputs.dtype)
        return (inputs, *args[1:])

    with hooked([model.down(neuron.layer).register_forward_pre_hook(hook)]):
        yield
