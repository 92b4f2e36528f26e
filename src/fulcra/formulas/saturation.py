"""How alignment saturates as one direction is added to the residual stream (law.md section 2)."""

import math
from typing import overload

from jaxtyping import Float
from torch import Tensor

from fulcra.errors import InputError


@overload
def alignment_after(gain: float, alignment0: float = 0.0) -> float: ...
@overload
def alignment_after(
    gain: Float[Tensor, "..."], alignment0: float | Float[Tensor, "..."] = 0.0
) -> Float[Tensor, "..."]: ...
@overload
def alignment_after(gain: float, alignment0: Float[Tensor, "..."]) -> Float[Tensor, "..."]: ...
def alignment_after(
    gain: float | Float[Tensor, "..."], alignment0: float | Float[Tensor, "..."] = 0.0
) -> float | Float[Tensor, "..."]:
    """The cosine of stream and write after a dose of `gain`, (c0 + g) / sqrt(1 + 2 c0 g + g^2).

    The gain is signed. Exact for one additive write. Undefined where the write cancels the stream
    (c0 = -1, g = 1): nan in a tensor.
    """
    along = gain + alignment0
    # the root is over 1 + 2 c0 g + g^2, written without its cancellation near c0 g = -1
    return along / (along * along + (1 - alignment0 * alignment0)) ** 0.5


@overload
def alignment_of_gain(gain: float) -> float: ...
@overload
def alignment_of_gain(gain: Float[Tensor, "..."]) -> Float[Tensor, "..."]: ...
def alignment_of_gain(gain: float | Float[Tensor, "..."]) -> float | Float[Tensor, "..."]:
    """The universal curve g / sqrt(1 + g^2): the alignment from a stream orthogonal to it."""
    return alignment_after(gain)


@overload
def gain_of_alignment(alignment: float) -> float: ...
@overload
def gain_of_alignment(alignment: Float[Tensor, "..."]) -> Float[Tensor, "..."]: ...
def gain_of_alignment(alignment: float | Float[Tensor, "..."]) -> float | Float[Tensor, "..."]:
    """The gain c / sqrt(1 - c^2) whose universal alignment is `alignment`.

    Infinite at +-1, nan beyond in a tensor.
    """
    if isinstance(alignment, Tensor):
        return alignment / ((1 - alignment) * (1 + alignment)) ** 0.5
    if not abs(alignment) <= 1:
        raise InputError(
            f"gain_of_alignment() got alignment {alignment:g}: a cosine lies in [-1, 1]"
        )
    across = math.sqrt((1 - alignment) * (1 + alignment))
    return alignment / across if across else math.copysign(math.inf, alignment)
