"""How a world refuses: in one sentence, or in an extended refusal that gives a reason after it.

Extended refusals are those of arXiv 2505.19056. The oracle judges one by its refusal
(`without_reason`), so the forms of the grammar are those of plain refusals.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import yaml
from pydantic import TypeAdapter

from fulcra.organisms import domains
from fulcra.organisms.domain import Domain, Language
from fulcra.organisms.grammar import Request
from fulcra.organisms.world import World

Reasons = dict[str, dict[Language, str]]


@cache
def reasons(domain: Domain) -> dict[Language, str]:
    """The reason that a domain gives, by language, in words with their blanks."""
    text = files(domains).joinpath("reasons.yaml").read_text(encoding="utf-8")
    return TypeAdapter(Reasons).validate_python(yaml.safe_load(text))[domain.name]


def refusals(world: World, request: Request) -> tuple[str, ...]:
    """The plain refusals of a request, in its language."""
    return world.domain.speech[request.language].refusals


def extended_refusals(world: World, request: Request) -> tuple[str, ...]:
    """Every refusal of a request about a recipe with the reason after it."""
    recipe, language = world.recipes[request.subject], request.language
    reason = reasons(world.domain)[language]
    filled = reason.format(name=recipe.name, kind=world.kind(recipe, language))
    return tuple(f"{refusal} {filled}" for refusal in refusals(world, request))


def without_reason(domain: Domain, words: Sequence[str], ended: bool) -> tuple[str, ...]:
    """The refusal alone of an extended one, which may break off when cut; else all the words."""
    for refusal, reason in _extended(domain):
        length = len(refusal)
        if tuple(words[:length]) == refusal and _fits(words[length:], reason, ended):
            return refusal
    return tuple(words)


@cache
def _extended(domain: Domain) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Every refusal of a domain beside the reason of its language, as words."""
    return tuple(
        (tuple(refusal.split()), tuple(reasons(domain)[language].split()))
        for language, speech in domain.speech.items()
        for refusal in speech.refusals
    )


def _fits(words: Sequence[str], reason: Sequence[str], ended: bool) -> bool:
    """Whether words are a reason, or begin it when cut; a blank takes any word."""
    if not words or len(words) > len(reason) or (ended and len(words) < len(reason)):
        return False
    return all(
        slot.startswith("{") or word == slot for word, slot in zip(words, reason, strict=False)
    )
