"""What leaks between the prompts of a behavior: near copies, and prompts that read as flipped."""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from fulcra.behaviors.oracles_text import RefusalFlip
from fulcra.behaviors.splits import prompt_sets
from fulcra.types import Behavior, Prompt

#: With this share of words in common (Jaccard) prompts are near copies: a tenth is added, or less.
NEAR = 0.9


class NearCopy(NamedTuple):
    """Two prompts of different sets that share most of their words, by their ids."""

    first: str
    second: str
    shared: float


def near_copies(behavior: Behavior) -> tuple[NearCopy, ...]:
    """The measured prompts that nearly stand in another set too.

    Positive and negative prompts may be alike: a good contrast differs in little.
    """
    return tuple(
        NearCopy(first.id, second.id, share)
        for first, second in _pairs(behavior)
        if (share := shared_words(first.text, second.text)) >= NEAR
    )


def read_as_flipped(behavior: Behavior) -> tuple[str, ...]:
    """The ids of measured prompts whose own words the oracle reads as a flip: an echo would count.

    None where a flip is a reply on task, since every prompt is.
    """
    if isinstance(behavior.oracle, RefusalFlip):
        return ()
    prompts = behavior.selection + behavior.confirmation
    return tuple(p.id for p in prompts if behavior.oracle(p, p.text, True).flipped)


def shared_words(first: str, second: str) -> float:
    """Words that both texts have, as a share of all their words; 0 where neither has any."""
    left, right = (set(re.findall(r"\w+", text.casefold())) for text in (first, second))
    return len(left & right) / max(1, len(left | right))


def _pairs(behavior: Behavior) -> Iterator[tuple[Prompt, Prompt]]:
    for (name, prompts), (other, others) in combinations(prompt_sets(behavior).items(), 2):
        if (name, other) != ("positive", "negative"):
            yield from ((first, second) for first in prompts for second in others)
