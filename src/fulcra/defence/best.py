"""The state that a training hands out: of those whose undosed replies hold, the most closed."""

from typing import final

import torch
from torch import Tensor

from fulcra.defence.hardened import CheckEntry
from fulcra.models.lora import Lora


@final
class Best:
    """The weights of the best check of a training, by what the checks say; none before the first.

    It holds, and no other that holds has a smaller share forecast open; of equals it is the last.
    Where there is nothing to hold to, only the share decides.
    """

    def __init__(self) -> None:
        self.check: CheckEntry | None = None
        self._weights: list[Tensor] = []

    def offer(self, check: CheckEntry, lora: Lora) -> None:
        """Take the state of a check where it is the best one."""
        if check.holds is not False and (self.check is None or check.share <= self.check.share):
            self.check = check
            self._weights = [weight.detach().clone() for weight in lora.weights]

    def restore(self, lora: Lora) -> int | None:
        """The step of the best state, whose weights the adapter has again; None without one."""
        if self.check is None:
            return None
        with torch.no_grad():
            for weight, before in zip(lora.weights, self._weights, strict=True):
                weight.copy_(before)
        return self.check.step
