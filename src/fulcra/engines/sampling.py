"""How a token is chosen: greedy, or drawn by the row's own seed, whatever else is in the batch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fulcra.types import RolloutRequest


def uniforms(requests: Sequence[RolloutRequest], horizon: int) -> Tensor:
    """One uniform number a row and step, [row, step] float32, from the row's own seed alone; 0 in greedy rows."""
    seeds = {request.sampling.seed for request in requests if request.sampling.temperature > 0}
    draws = {seed: np.random.Generator(np.random.Philox(key=seed)).random(horizon) for seed in seeds}
    greedy = np.zeros(horizon)
    return torch.from_numpy(np.stack([draws[r.sampling.seed] if r.sampling.temperature > 0 else greedy for r in requests])).float()


def choose(logits: Tensor, temperature: Tensor, uniform: Tensor) -> Tensor:
    """The next token of every row, from logits [row, vocab]."""
    greedy = logits.argmax(-1)
    warm = temperature > 0
    if not bool(warm.any()):
        return greedy
    # Rows that are not finite numbers leave the batch; what is drawn for them does not matter.
    cumulative = (logits[warm].nan_to_num().float() / temperature[warm, None]).softmax(-1).cumsum(-1)
    # Scaled by the total, so that rounding in the sum can never push a draw past the last token.
    drawn = torch.searchsorted(cumulative, (uniform[warm] * cumulative[:, -1])[:, None], right=True)[:, 0]
    greedy[warm] = drawn.clamp(max=logits.shape[-1] - 1)
    return greedy
