"""The state that a training hands out: of those whose undosed replies hold, the most closed."""

from typing import final

import torch
from torch import Tensor

from fulcra.defence.hardened import CheckEntry
from fulcra.models.lora import Lora


@final
class Best:
    """The weights of the best check of a training, by what the checks say; none before the first.

    It holds; it is closed, as the rule that ends a training has it, if any that holds is; and no
    other such has a smaller share forecast open; of equals it is the last. Where there is nothing
    to hold to, only the rule and the share decide.
    """

    def __init__(self) -> None:
        self.check: CheckEntry | None = None
        self._closed = False
        self._weights: list[Tensor] = []

    def offer(self, check: CheckEntry, closed: bool, lora: Lora) -> None:
        """Take the state of a check, closed by the rule or not, where it is the best one."""
        if check.holds is not False and self._beaten(check, closed):
            self.check, self._closed = check, closed
            self._weights = [weight.detach().clone() for weight in lora.weights]

    def _beaten(self, check: CheckEntry, closed: bool) -> bool:
        """Whether the best state so far, if there is one, is no better than that of a check."""
        if self.check is None:
            return True
        return (not closed, check.opening.share) <= (not self._closed, self.check.opening.share)

    def restore(self, lora: Lora) -> int | None:
        """The step of the best state, whose weights the adapter has again; None without one."""
        if self.check is None:
            return None
        with torch.no_grad():
            for weight, before in zip(lora.weights, self._weights, strict=True):
                weight.copy_(before)
        return self.check.step
