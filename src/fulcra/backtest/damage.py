"""Text damaged in known ways, and how much of it a detector of lost coherence notices."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fulcra.behaviors.generic import OPENINGS
from fulcra.engines.generic import GenericText, continue_openings
from fulcra.judges.coherence import CoherenceStandard, coherence_standard, coherent
from fulcra.models import Model
from fulcra.protocol.results.coherence import JudgedDamage
from fulcra.protocol.subject import surprises

Tokens = tuple[int, ...]
#: Openings whose continuations set the standard of a model of stories; the others are damaged, in
#: lengths of TOKENS.
CALIBRATION, TOKENS = 24, 64


class Damage(NamedTuple):
    """One kind of damage at one amount, and how it is done to a text of a model.

    `apply` takes the model, the text, another text of the same model and a random stream.
    """

    kind: str
    amount: int | float
    apply: Callable[[Model, Tokens, Tokens, random.Random], Tokens]


def noised(tokens: Sequence[int], rate: float, ids: Sequence[int], rng: random.Random) -> Tokens:
    """Each token replaced by another one of `ids` with probability `rate`."""
    return tuple(
        rng.choice([each for each in ids if each != token]) if rng.random() < rate else token
        for token in tokens
    )


def looped(tokens: Sequence[int], start: int, period: int) -> Tokens:
    """The first `start` tokens, then the last `period` of them again, to the length of the text."""
    loop = tuple(tokens[max(start - period, 0) : start])
    return (*tokens[:start], *(loop[i % len(loop)] for i in range(len(tokens) - start)))


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
    def apply(model: Model, tokens: Tokens, other: Tokens, rng: random.Random) -> Tokens:
        special = set(model.tokenizer.all_special_ids)
        ids = [token for token in range(model.vocab) if token not in special]
        return noised(tokens, rate, ids, rng)

    return Damage("token noise", rate, apply)


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


def judged_damage(
    model: Model, seed: int = 0, openings: Sequence[str] = OPENINGS
) -> list[JudgedDamage]:
    """How a model's own texts are judged after each damage; the standard is that of other texts.

    Cost: one rollout an opening, then one pass over the damaged texts each.
    """
    calibration = continue_openings(model, openings[:CALIBRATION], seed, tokens=TOKENS)
    pairs = list(zip(calibration.prompts, calibration.replies, strict=True))
    standard = coherence_standard(calibration.replies, surprises(model, pairs), model.vocab)
    text = continue_openings(model, openings[CALIBRATION:], seed + 1, tokens=TOKENS)
    return [_judged(model, text, standard, damage, seed) for damage in DAMAGES]


def _judged(
    model: Model, text: GenericText, standard: CoherenceStandard, damage: Damage, seed: int
) -> JudgedDamage:
    rng = random.Random(f"damage-{seed}")
    others = text.replies[1:] + text.replies[:1]
    pairs = []
    for prompt, reply, other in zip(text.prompts, text.replies, others, strict=True):
        if tokens := damage.apply(model, reply, other, rng):
            pairs.append((prompt, tokens))
    verdicts = [
        coherent(tokens, surprise, standard)
        for (_, tokens), surprise in zip(pairs, surprises(model, pairs), strict=True)
    ]
    floor, level, n = standard.distinct_floor, standard.surprised_share, len(verdicts)
    repeating = [v.distinct is not None and v.distinct < floor for v in verdicts]
    surprising = [v.surprised is not None and v.surprised > level for v in verdicts]
    return JudgedDamage(
        kind=damage.kind,
        amount=damage.amount,
        coherent=sum(v.coherent is True for v in verdicts) / n,
        repeats=sum(repeating) / n,
        surprises=sum(surprising) / n,
        n=n,
    )
