"""Text damaged in known ways, as token ids: what a detector of lost coherence must notice, and what
it is known to miss.
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fulcra.models import Model

Tokens = tuple[int, ...]


class Damage(NamedTuple):
    """One kind of damage at one amount, and how it is done to a text; `done` also sees another text
    of the same model.
    """

    kind: str
    amount: float
    done: Callable[[Model, Tokens, Tokens, random.Random], Tokens]


def noised(tokens: Sequence[int], rate: float, ids: Sequence[int], rng: random.Random) -> Tokens:
    """Each token replaced by another one of `ids` with probability `rate`."""
    return tuple(
        rng.choice([each for each in ids if each != token]) if rng.random() < rate else token
        for token in tokens
    )


def looped(tokens: Sequence[int], kept: int, period: int) -> Tokens:
    """The first `kept` tokens, then the last `period` of them again and again, to the length of the
    text.
    """
    loop = tuple(tokens[max(kept - period, 0) : kept])
    return (*tokens[:kept], *(loop[i % len(loop)] for i in range(len(tokens) - kept)))


def shuffled_words(model: Model, tokens: Sequence[int], rng: random.Random) -> Tokens:
    """The words of a text in another order, cut into tokens anew, at most as many as there were."""
    words = model.words(tokens).split()
    rng.shuffle(words)
    return model.reply_ids(" ".join(words))[: len(tokens)]


def _words(model: Model, tokens: Tokens, other: Tokens, rng: random.Random) -> Tokens:
    return shuffled_words(model, tokens, rng)


def _tokens(model: Model, tokens: Tokens, other: Tokens, rng: random.Random) -> Tokens:
    return tuple(rng.sample(tokens, len(tokens)))


def _spliced(model: Model, tokens: Tokens, other: Tokens, rng: random.Random) -> Tokens:
    return (*tokens[: len(tokens) // 2], *other[len(tokens) // 2 : len(tokens)])


def _noise(rate: float) -> Damage:
    def done(model: Model, tokens: Tokens, other: Tokens, rng: random.Random) -> Tokens:
        special = set(model.tokenizer.all_special_ids)
        return noised(
            tokens, rate, [token for token in range(model.vocab) if token not in special], rng
        )

    return Damage("token noise", rate, done)


def _loop(period: int) -> Damage:
    return Damage(
        "loop from a third on",
        period,
        lambda model, tokens, other, rng: looped(tokens, len(tokens) // 3, period),
    )


def _late_loop(share: float) -> Damage:
    return Damage(
        "loop of 8 at the end",
        share,
        lambda model, tokens, other, rng: looped(tokens, round(len(tokens) * (1 - share)), 8),
    )


#: `amount` is a share of the text, the period of a loop in tokens, or 1 where all of the text is
#: damaged.
DAMAGES: tuple[Damage, ...] = (
    Damage("none", 0.0, lambda model, tokens, other, rng: tokens),
    *map(_noise, (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)),
    *map(_loop, (1, 2, 4, 8, 16)),
    *map(_late_loop, (0.25, 0.5, 0.75)),
    Damage("words shuffled", 1.0, _words),
    Damage("tokens shuffled", 1.0, _tokens),
    Damage("spliced with another text", 0.5, _spliced),
)
