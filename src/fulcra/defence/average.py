"""The running mean of the weights of a training, which is what is checked and handed out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor

from fulcra.models.lora import Lora

#: What a step leaves of the mean before it: it holds about the last thirty steps. Single states
#: swing by several allowed requests from check to check.
LEFT = 0.97


@final
class Average:
    """The exponential running mean of an adapter's weights, the untrained ones left out."""

    def __init__(self, lora: Lora) -> None:
        self.lora, self.steps = lora, 0
        self._mean = [weight.detach().clone() for weight in lora.weights]

    def follow(self) -> None:
        """Take the weights after a step into the mean; the first steps weigh alike."""
        self.steps += 1
        left = min(LEFT, 1 - 1 / self.steps)
        for mean, weight in zip(self._mean, self.lora.weights, strict=True):
            mean.lerp_(weight.detach(), 1 - left)

    @contextmanager
    def instead(self) -> Iterator[None]:
        """A block in which the adapter's weights are their mean."""
        own = [weight.detach().clone() for weight in self.lora.weights]
        self.settle()
        try:
            yield
        finally:
            _copy(own, self.lora.weights)

    def settle(self) -> None:
        """Give the adapter the mean for its weights."""
        _copy(self._mean, self.lora.weights)


def _copy(source: list[Tensor], target: "list[torch.nn.Parameter]") -> None:
    with torch.no_grad():
        for weight, value in zip(target, source, strict=True):
            weight.copy_(value)
