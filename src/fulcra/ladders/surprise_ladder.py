"""The ceiling forecast from surprise: as many odd tokens as the judge of coherence forbids."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fulcra.engines.generic import TEMPERATURE, GenericText
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders.kl_ladder import CEILING_GAINS, TEXTS
from fulcra.ladders.passes import Texts, clean_vectors, dosed_vectors
from fulcra.ladders.search import bisected
from fulcra.models import Model
from fulcra.models.unembedding import logit_blocks
from fulcra.types import Edge, Edit, Edits

#: The share of surprising tokens from which the judge of coherence calls a rollout collapsed
#: (law.md section 5); nothing is fitted.
SURPRISED_SHARE = 0.30


def surprised_shares(
    model: Model, edits: Sequence[Edit | Edits], text: GenericText, level: float
) -> Tensor:
    """The expected share of next tokens that surprise the clean model above `level` nats, [edit].

    sum over tokens y of p_dosed(y) [-log p_clean(y) > level], in the mean over continuation
    positions.
    """
    texts = Texts.of_pairs(model, text.prompts, text.replies)
    return expected_shares(model, texts, odd_tokens(model, texts, level), edits)


def odd_tokens(model: Model, texts: Texts, level: float) -> Tensor:
    """Which tokens would surprise the clean model by more than `level` nats, [position, vocab]."""
    blocks = logit_blocks(model, clean_vectors(model, texts))
    return torch.cat([-logits.log_softmax(-1) > level for _, logits in blocks])


def expected_shares(
    model: Model,
    texts: Texts,
    odd: Tensor,
    edits: Sequence[Edit | Edits | None],
    temperature: float = 1.0,
) -> Tensor:
    """The mean probability of `odd` tokens under each edit (None: undosed), [edit]; on the CPU.

    `temperature` is that at which the dosed model would draw them.
    """
    shares = torch.empty(len(edits), device=odd.device)
    for places, vectors in dosed_vectors(model, texts, edits):
        for place, dosed in zip(places, vectors, strict=True):
            blocks = logit_blocks(model, dosed)
            parts = [
                ((logits / temperature).softmax(-1) * odd[rows]).sum(-1) for rows, logits in blocks
            ]
            shares[place] = torch.cat(parts).mean()
    # a dose that overflows the model leaves no token that the judge would pass
    return shares.nan_to_num(nan=1.0).cpu()


def surprise_ladder(
    model: Model,
    branches: Sequence[Coordinate],
    text: GenericText,
    level: float,
    gains: Sequence[float] = CEILING_GAINS,
) -> list[Edge]:
    """The predicted ceiling of each branch; censored where the share stays below SURPRISED_SHARE.

    `level` is the surprise level of the audit's coherence standard [nats]. Tier 2 and of the same
    cost as `kl_ladder`: dosed teacher-forced passes, nothing generated.
    """
    shares = _shares_on(model, text, level, 1.0)
    return bisected(branches, shares, gains, SURPRISED_SHARE, "surprise_ladder")


def sampled_surprise_ladder(
    model: Model,
    branches: Sequence[Coordinate],
    text: GenericText,
    level: float,
    gains: Sequence[float] = CEILING_GAINS,
) -> list[Edge]:
    """`surprise_ladder` of tokens drawn at the temperature of the rollouts that ceilings stand on.

    Which tokens are odd is asked of the clean model as it is. Tier 2, the same cost.
    """
    shares = _shares_on(model, text, level, TEMPERATURE)
    return bisected(branches, shares, gains, SURPRISED_SHARE, "sampled_surprise_ladder")


def _shares_on(
    model: Model, text: GenericText, level: float, temperature: float
) -> Callable[[Sequence[Edit]], Tensor]:
    """The expected shares of odd tokens under doses, on the first TEXTS generic texts."""
    generic = text.first(TEXTS)
    texts = Texts.of_pairs(model, generic.prompts, generic.replies)
    odd = odd_tokens(model, texts, level)
    return lambda doses: expected_shares(model, texts, odd, doses, temperature)
