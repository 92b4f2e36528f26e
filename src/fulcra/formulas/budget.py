"""The control budget, which turns doses in activation units into gains (law.md section 2)."""

import math
from typing import overload

import torch
from jaxtyping import Float
from torch import Tensor


@overload
def budget(residual_norm: float, write_norm: float) -> float: ...
@overload
def budget(
    residual_norm: float | Float[Tensor, "..."], write_norm: Float[Tensor, "..."]
) -> Float[Tensor, "..."]: ...
@overload
def budget(residual_norm: Float[Tensor, "..."], write_norm: float) -> Float[Tensor, "..."]: ...
def budget(
    residual_norm: float | Float[Tensor, "..."], write_norm: float | Float[Tensor, "..."]
) -> float | Float[Tensor, "..."]:
    """The budget B = |r| / |v| [activation units]: the dose whose write is as long as the stream.

    Infinite for a write of norm zero: no dose of that neuron moves the stream, and every dose has
    gain 0.
    """
    if not isinstance(write_norm, Tensor):
        return residual_norm / write_norm if write_norm else residual_norm * 0 + math.inf
    return torch.where(write_norm == 0, math.inf, residual_norm / write_norm)


@overload
def dose_of_gain(gain: float, budget: float) -> float: ...
@overload
def dose_of_gain(
    gain: float | Float[Tensor, "..."], budget: Float[Tensor, "..."]
) -> Float[Tensor, "..."]: ...
@overload
def dose_of_gain(gain: Float[Tensor, "..."], budget: float) -> Float[Tensor, "..."]: ...
def dose_of_gain(
    gain: float | Float[Tensor, "..."], budget: float | Float[Tensor, "..."]
) -> float | Float[Tensor, "..."]:
    """The signed dose alpha = g B [activation units]."""
    return gain * budget
