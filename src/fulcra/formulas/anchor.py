"""The anchored value of paper C: how a pin is sized by the prompt it acts on."""

from jaxtyping import Float
from torch import Tensor


def anchored(
    bound: float, k: float, gap: float, natural: Float[Tensor, "*prompt"]
) -> Float[Tensor, "*prompt"]:
    """clamp(k m* v/d - d, m*) of a bound m*, a gap d and each prompt's natural activation v.

    [prompt], activation units. The clamp is min where m* > 0 and max elsewhere, so the value never
    lies beyond m* (paper C).
    """
    value = k * bound * natural / gap - gap
    return value.clamp(max=bound) if bound > 0 else value.clamp(min=bound)


def natural_activation(
    activations: Float[Tensor, "*prompt pos"], gap: float
) -> Float[Tensor, "*prompt"]:
    """v: the activation that speaks most for the side of d over the positions.

    Their max where d > 0, their min elsewhere.
    """
    return activations.amax(-1) if gap > 0 else activations.amin(-1)
