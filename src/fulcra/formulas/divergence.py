"""How far a dosed next-token distribution is from the clean one, in nats."""

import torch
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def kl_nats(
    clean_logits: Float[Tensor, "*#at vocab"], dosed_logits: Float[Tensor, "*at vocab"]
) -> Float[Tensor, "*at"]:
    """KL(clean || dosed) at every position [nats, float32, >= 0].

    Infinite where the dosed logits are not finite numbers. The clean logits broadcast over the rows
    of a ladder. Works in place on the two log-softmaxes; hence no gradient.
    """
    clean = clean_logits.float().log_softmax(-1)
    log_ratio = dosed_logits.float().log_softmax(-1).neg_().add_(clean)
    clean = clean.exp_()
    # an impossible clean token adds nothing, whatever the dosed model thinks of it (0 log 0 = 0)
    log_ratio.masked_fill_(clean == 0, 0.0)
    divergence = torch.einsum("...v,...v->...", clean, log_ratio).clamp_min_(0.0)
    # a dose that overflows the model has left every clean distribution behind; a broken clean pass
    # stays nan
    return divergence.masked_fill_(divergence.isnan() & clean.sum(-1).isfinite(), torch.inf)


def log_odds(
    log_p_target: Float[Tensor, "*#at"], log_p_control: Float[Tensor, "*#at"]
) -> Float[Tensor, "*#at"]:
    """The log-odds log(p_target / p_control) [nats] from the two log-probabilities.

    Positive where the target leads.
    """
    return log_p_target - log_p_control
