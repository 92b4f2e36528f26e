"""What a ladder could read of a dose on text that is there: divergences, odd tokens, hazards."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fulcra.engines.generic import TEMPERATURE
from fulcra.ladders.kl_ladder import TEXTS
from fulcra.ladders.passes import Texts, clean_vectors, dosed_vectors
from fulcra.ladders.surprise_ladder import SURPRISED_SHARE, odd_tokens
from fulcra.models import Model
from fulcra.models.unembedding import logit_blocks
from fulcra.protocol.subject import Ground
from fulcra.types import Edit

Floats = NDArray[np.float64]
#: Numbers of tokens over which a chance per token is compounded.
HORIZONS = (16, 32, 48)
#: What a divergence that is not finite counts as [nats]: a dose that overflows the model.
OVERFLOW = 100.0
#: Added to the entropy that a divergence is divided by [nats]: most tokens are all but certain.
CERTAIN = 0.1


def log_probs(model: Model, vectors: Tensor, temperature: float = 1.0) -> Tensor:
    """The log-probabilities that final vectors stand for, [position, vocab], float32."""
    blocks = logit_blocks(model, vectors)
    return torch.cat([(logits / temperature).log_softmax(-1) for _, logits in blocks])


def divergences(first: Tensor, second: Tensor) -> Tensor:
    """KL(first || second) of log-probabilities at every position, [position], nats."""
    nats = (first.exp() * (first - second)).sum(-1)
    return nats.nan_to_num(nan=OVERFLOW, posinf=OVERFLOW).clamp(0.0, OVERFLOW)


@dataclass(frozen=True, slots=True)
class GivenText:
    """Generic texts, what the undosed model thinks of them, and which tokens are odd there.

    clean [position, vocab] are log-probabilities; odd by the model itself, judged by the reference.
    """

    model: Model
    texts: Texts
    clean: Tensor
    odd: Tensor
    judged: Tensor

    @classmethod
    def of(cls, ground: Ground) -> "GivenText":
        """The texts that ceilings are forecast on."""
        text, level, model = ground.text.first(TEXTS), ground.standard.surprise_level, ground.model
        texts = Texts.of_pairs(model, text.prompts, text.replies)
        clean = log_probs(model, clean_vectors(model, texts))
        odd = judged = -clean > level
        if ground.reference is not model:
            others = Texts.of_pairs(ground.reference, text.prompts, text.replies)
            judged = odd_tokens(ground.reference, others, level)
        return cls(model, texts, clean, odd, judged)

    def statistics(self, doses: Sequence[Edit | None]) -> list[dict[str, float]]:
        """Every statistic under each dose (None: undosed)."""
        rows: list[dict[str, float]] = [{} for _ in doses]
        for places, vectors in dosed_vectors(self.model, self.texts, doses):
            for place, dosed in zip(places, vectors, strict=True):
                drawn = log_probs(self.model, dosed, TEMPERATURE).exp()
                rows[place] = self._nats(log_probs(self.model, dosed)) | self._shares(drawn)
        return rows

    def _nats(self, dosed: Tensor) -> dict[str, float]:
        """What is read of the distribution as it stands."""
        nats = divergences(self.clean, dosed)
        entropy = -(self.clean.exp() * self.clean).sum(-1)
        values = {
            "kl_mean": nats.mean(),
            "kl_median": nats.median(),
            "kl_q95": nats.quantile(0.95),
            "kl_over_1": (nats > 1).float().mean(),
            "kl_per_entropy": (nats / (entropy + CERTAIN)).mean(),
            "reverse_kl": divergences(dosed, self.clean).mean(),
            "entropy": -(dosed.exp() * dosed).sum(-1).mean(),
            "odd_unscaled": (dosed.exp() * self.odd).sum(-1).mean(),
        }
        return {name: float(value) for name, value in values.items()}

    def _shares(self, drawn: Tensor) -> dict[str, float]:
        """What is read of the probabilities at the temperature of the rollouts."""
        share = (drawn * self.odd).sum(-1)
        judged = (drawn * self.judged).sum(-1)
        rows = _padded(judged, self.texts.where)
        values = {
            "odd": float(share.mean()),
            "odd_over_half": float((share > 0.5).float().mean()),
            "odd_judged": float(judged.mean()),
        }
        for tokens in HORIZONS:
            values[f"judge_{tokens}"] = chance_above(rows[:, :tokens], SURPRISED_SHARE)
            values[f"hazard_{tokens}"] = compounded(rows[:, :tokens])
        return values


def _padded(share: Tensor, where: Tensor) -> Floats:
    """Values of real tokens by text, [text, token]; nan after a text's end."""
    rows: Floats = np.full(tuple(where.shape), np.nan)
    rows[where.cpu().numpy()] = share.cpu().numpy()
    return rows


def chance_above(chances: Floats, share: float) -> float:
    """The mean over texts of P(more than `share` of the tokens happen), each on its own.

    chances [text, token], nan after a text's end: the tail of a Poisson binomial distribution.
    """
    texts, tokens = chances.shape
    counts = np.zeros((texts, tokens + 1))
    counts[:, 0] = 1.0
    for chance in np.nan_to_num(chances, nan=0.0).T[..., None]:
        moved = counts[:, :-1] * chance
        counts *= 1 - chance
        counts[:, 1:] += moved
    allowed = np.floor(share * np.isfinite(chances).sum(1) + 1e-9)
    above = np.arange(tokens + 1) > allowed[:, None]
    return float((counts * above).sum(1).mean())


def compounded(chances: Floats) -> float:
    """The mean over texts of 1 - prod (1 - h): that at least one token of a text happens.

    chances [text, token], nan after a text's end.
    """
    return float((1 - np.prod(1 - np.nan_to_num(chances, nan=0.0), axis=1)).mean())
