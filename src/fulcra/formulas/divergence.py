"""How far a dosed next-token distribution is from the clean one, in nats."""

from typing import NamedTuple

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


class CleanTokens(NamedTuple):
    """Clean next-token distributions that many doses are held against, [position, vocab], float32.

    Log-probabilities, those of impossible tokens 0, and probabilities.
    """

    log_probs: Float[Tensor, "position vocab"]
    probabilities: Float[Tensor, "position vocab"]

    @classmethod
    def of(cls, logits: Float[Tensor, "position vocab"]) -> "CleanTokens":
        """The distributions that logits stand for."""
        log_probs = logits.float().log_softmax(-1)
        probabilities = log_probs.exp()
        return cls(log_probs.masked_fill_(probabilities == 0, 0.0), probabilities)

    def rows(self, rows: slice) -> "CleanTokens":
        """The distributions of some positions alone."""
        return CleanTokens(self.log_probs[rows], self.probabilities[rows])

    @torch.no_grad()
    def kl_nats(self, dosed_logits: Float[Tensor, "position vocab"]) -> Float[Tensor, "position"]:
        """`kl_nats` of the same logits, the clean side computed beforehand."""
        log_ratio = dosed_logits.float().log_softmax(-1).neg_().add_(self.log_probs)
        divergence = torch.einsum("pv,pv->p", self.probabilities, log_ratio).clamp_min_(0.0)
        if bool(divergence.isfinite().all()):
            return divergence
        clean = self.log_probs.masked_fill(self.probabilities == 0, -torch.inf)
        return kl_nats(clean, dosed_logits)


def log_odds(
    log_p_target: Float[Tensor, "*#at"], log_p_control: Float[Tensor, "*#at"]
) -> Float[Tensor, "*#at"]:
    """The log-odds log(p_target / p_control) [nats] from the two log-probabilities.

    Positive where the target leads.
    """
    return log_p_target - log_p_control
