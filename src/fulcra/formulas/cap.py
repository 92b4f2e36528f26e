"""The normalization cap: how far a neuron turns the stream through a norm (law.md section 2)."""

import math

from jaxtyping import Float
from torch import Tensor

from fulcra.formulas.geometry import cosine, length
from fulcra.formulas.saturation import alignment_after


def cap_write(
    gamma: Float[Tensor, "d_model"], write: Float[Tensor, "*at d_model"]
) -> Float[Tensor, "*at d_model"]:
    """What the norm writes under an unbounded positive dose, sqrt(d) (gamma * v_hat).

    The clean MLP write is gone. `gamma` is the factor that is applied (Gemma stores gamma - 1);
    `write` is the column of W_down before the norm.
    """
    return math.sqrt(write.shape[-1]) * gamma * write / length(write).unsqueeze(-1)


def cap_gain(
    gamma: Float[Tensor, "d_model"],
    write: Float[Tensor, "*#at d_model"],
    residual_mid: Float[Tensor, "*#at d_model"],
) -> Float[Tensor, "*#at"]:
    """The largest gain g_max = sqrt(d) |gamma * v_hat| / |r_mid|, without sign.

    R_mid is the stream before the MLP's write.
    """
    return length(cap_write(gamma, write)) / length(residual_mid)


def cap_alignment(
    gamma: Float[Tensor, "d_model"],
    write: Float[Tensor, "*#at d_model"],
    residual_mid: Float[Tensor, "*#at d_model"],
    pole: int = 1,
) -> Float[Tensor, "*#at"]:
    """The signed cosine of the stream with u = gamma * v_hat that a growing dose tends to.

    The dose has the sign `pole`. (c_mid + g) / sqrt(1 + 2 c_mid g + g^2) with c_mid = cos(r_mid,
    u), g = pole g_max: alignments beyond it do not exist.
    """
    return alignment_after(
        pole * cap_gain(gamma, write, residual_mid), cosine(residual_mid, gamma * write)
    )
