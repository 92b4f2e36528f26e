"""The replies of a batch so far, all as tensors: tokens, how they ended, which still go on."""

from typing import final

import torch
from torch import Tensor

from fulcra.types import Rollout


@final
class Transcript:
    """The tokens of each row, room for `width` of them; a row has at most `horizon` [row]."""

    def __init__(self, horizon: Tensor, width: int, ends: frozenset[int]) -> None:
        rows, device = len(horizon), horizon.device
        self.horizon = horizon
        self.ends = torch.tensor(sorted(ends), dtype=torch.long, device=device)
        self.tokens = torch.zeros(rows, width, dtype=torch.long, device=device)
        self.count = torch.zeros(rows, dtype=torch.long, device=device)
        self.ended, self.broken = (
            torch.zeros(rows, dtype=torch.bool, device=device) for _ in range(2)
        )

    def take(self, rows: Tensor, alive: Tensor, chosen: Tensor, finite: Tensor) -> Tensor:
        """Which of `rows` go on after one more token each; rows that are over take none."""
        end = (chosen[:, None] == self.ends).any(-1)
        speaks = alive & finite & ~end
        place = self.count[rows].clamp(max=self.tokens.shape[1] - 1)
        self.broken[rows] |= alive & ~finite
        self.ended[rows] |= alive & finite & end
        self.tokens[rows, place] = torch.where(speaks, chosen, self.tokens[rows, place])
        self.count[rows] += speaks
        return speaks & (self.count[rows] < self.horizon[rows])

    def rollouts(self) -> list[Rollout]:
        """The rollouts of all rows, so far."""
        columns = (held.tolist() for held in (self.tokens, self.count, self.ended, self.broken))
        return [Rollout(tuple(t[:n]), e, not b) for t, n, e, b in zip(*columns, strict=True)]
