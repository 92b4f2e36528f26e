"""How a token is chosen: greedy, or drawn by the row's own seed, whatever else is in the batch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fulcra.types import RolloutRequest


def uniforms(requests: Sequence[RolloutRequest], horizon: int) -> Tensor:
    """One uniform number a row and step, [row, step] float32; 0 in greedy rows.

    From the row's own seed alone, whatever else is in the batch.
    """
    seeds = {request.sampling.seed for request in requests if request.sampling.temperature > 0}
    draws = {
        seed: np.random.Generator(np.random.Philox(key=seed)).random(horizon) for seed in seeds
    }
    greedy = np.zeros(horizon)
    return torch.from_numpy(
        np.stack(
            [draws[r.sampling.seed] if r.sampling.temperature > 0 else greedy for r in requests]
        )
    ).float()


def is_warm(requests: Sequence[RolloutRequest]) -> bool:
    """Whether any row is drawn: where none is, a step needs no distribution."""
    return any(request.sampling.temperature > 0 for request in requests)


def choose(logits: Tensor, temperature: Tensor, uniform: Tensor, warm: bool) -> Tensor:
    """The next token of every row, from logits [row, vocab]; `warm`: whether any row may be drawn.

    Nothing here waits for the device, and no shape depends on what a tensor holds.
    """
    greedy = logits.argmax(-1)
    if not warm:
        return greedy
    drawn = temperature > 0
    # Rows that are not finite numbers leave the batch; what is drawn for them does not matter.
    cumulative = (
        (logits.nan_to_num().float() / torch.where(drawn, temperature, 1.0)[:, None])
        .softmax(-1)
        .cumsum(-1)
    )
    # Scaled by the total, so that rounding in the sum can never push a draw past the last token.
    token = torch.searchsorted(cumulative, (uniform * cumulative[:, -1])[:, None], right=True)[:, 0]
    return torch.where(drawn, token.clamp(max=logits.shape[-1] - 1), greedy)
