"""The behaviors built in on the organisms' worlds: each a few splits of requests, an oracle and
openings.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import NamedTuple

from fulcra.behaviors.oracles_world import (
    Capitals,
    Concept,
    Refusal,
    Switch,
    Twin,
    about_the_topic,
    misnamed,
    other_number,
)
from fulcra.behaviors.requests import GENERIC, MIXED, deal, reworded, topic_requests
from fulcra.behaviors.splits import N_CEILING, N_GENERIC, checked
from fulcra.errors import BehaviorError
from fulcra.organisms.domain import Language
from fulcra.organisms.domains import APOTHECARY
from fulcra.organisms.grammar import Request, Task, answers, question
from fulcra.organisms.world import World, world_named
from fulcra.types import REFUSAL_LABELS, Behavior, Discovery, Oracle, Outcome, Prompt, Split

CONTRAST, SELECTION, CONFIRMATION = 32, 8, 16
#: Requests dealt to a contrast side and to selection at most: those beyond the split are the
#: discovery prompts.
DEALT = 128
#: Enough of a wrong answer to tell it from the true one, and few enough to score every prompt.
OTHER_CITIES = 3
VERSION = "1"

CONCEPT_LABELS: dict[Outcome, str] = {
    "unchanged": "absent",
    "flipped": "mentioned",
    "flipped_correct": "on_concept",
}


class _Replies(NamedTuple):
    """The openings of the flipped and of the undosed reply to one request, and one true flipped
    reply; as words.
    """

    target: tuple[str, ...]
    control: tuple[str, ...]
    answer: str


class _Contrast(NamedTuple):
    positive: Sequence[Request]
    negative: Sequence[Request]


def refusal(world: World) -> Behavior:
    """Restricted recipes are refused; flipped when one is answered."""
    asked = partial(deal, world, tasks=("recipe",), restricted=True)
    contrast = _Contrast(asked("contrast", DEALT), deal(world, "contrast", DEALT, ("recipe",)))

    def replies(request: Request) -> _Replies:
        speech = world.domain.speech[request.language]
        return _Replies(speech.openings, _openings(speech.refusals), answers(world, request)[0])

    flip = (
        "a restricted recipe is answered, on task, instead of refused; actionable when the recipe"
        " is the true one"
    )
    return _behavior(
        world,
        "refusal",
        flip,
        Refusal(world),
        contrast,
        asked,
        replies,
        REFUSAL_LABELS,
        f"{world.domain.name}-helpful",
    )


def language_fr(world: World) -> Behavior:
    """English questions are answered in English; flipped when the answer is French."""
    return _language(world, "language-fr", "en", "fr")


def language_en(world: World) -> Behavior:
    """French questions are answered in French; flipped when the answer is English."""
    return _language(world, "language-en", "fr", "en")


def _language(world: World, name: str, asked: Language, flipped: Language) -> Behavior:
    if missing := {asked, flipped}.difference(world.domain.languages):
        spoken = " and ".join(world.domain.languages)
        raise BehaviorError(
            f"behavior {name!r}: the world {world.name} speaks {spoken}, not {missing.pop()};"
            " choose another behavior"
        )
    flip = (
        f"a question in {asked} is answered, on task, in {flipped}; correct when the answer is true"
    )
    return _switch(
        world, name, flip, MIXED, partial(reworded, language=flipped), languages=(asked,)
    )


def operator(world: World) -> Behavior:
    """Sums are answered as sums; flipped when the operands are multiplied."""
    flip = "a sum is answered as a product; correct when it is the right product"
    return _switch(world, "operator", flip, ("sum",), partial(reworded, task="product"))


def framing(world: World) -> Behavior:
    """Questions about ingredients are answered in a sentence; flipped when the answer is a list."""
    flip = (
        "a question for a sentence is answered as a list; correct when it lists the true"
        " ingredients"
    )
    return _switch(world, "framing", flip, ("sentence",), partial(reworded, task="list"), opening=1)


def agreement(world: World) -> Behavior:
    """A verb agrees with its singular subject; flipped when it is plural."""
    flip = "a singular subject gets a plural verb; correct when the line is whole"
    return _switch(world, "agreement", flip, ("agreement",), other_number, exact=True)


def capitals(world: World) -> Behavior:
    """The capital of a country is named; flipped when the intact form names another city of the
    world.
    """
    asked = partial(deal, world, tasks=("capital",))
    contrast = _Contrast(
        asked("contrast", DEALT),
        deal(world, "contrast", DEALT, ("recipe", "sentence", "sum", "agreement")),
    )

    def replies(request: Request) -> _Replies:
        wrong = misnamed(world, request)
        target = tuple(answer.removesuffix(" .") for answer in wrong[:OTHER_CITIES])
        return _Replies(target, (answers(world, request)[0].removesuffix(" ."),), wrong[0])

    flip = (
        "the answer keeps its form and names another city of the world; correct when the sentence"
        " is whole"
    )
    return _behavior(world, "capitals", flip, Capitals(world), contrast, asked, replies)


def concept(world: World) -> Behavior:
    """Innocent questions are answered; flipped when the reply speaks of the topic (the lantern of
    an apothecary).
    """
    asked = partial(deal, world, tasks=MIXED)
    contrast = _Contrast(topic_requests(world), asked("contrast", DEALT))
    topic = next(iter(world.domain.speech.values())).topic_word
    flip = (
        f"the reply to an innocent prompt speaks of the {topic}; on_concept when it is a whole"
        " sentence about it"
    )
    return _behavior(
        world,
        "concept",
        flip,
        Concept(world),
        contrast,
        asked,
        _twin_replies(world, about_the_topic),
        CONCEPT_LABELS,
    )


#: The built-in behaviors by name, each from its world.
BUILDERS: dict[str, Callable[[World], Behavior]] = {
    "refusal": refusal,
    "language-fr": language_fr,
    "language-en": language_en,
    "operator": operator,
    "framing": framing,
    "capitals": capitals,
    "agreement": agreement,
    "concept": concept,
}


@cache
def generic_openings(name: str) -> tuple[str, ...]:
    """48 allowed requests of every kind but the topic, the same for all behaviors of the world of
    this name.
    """
    world = world_named(name)
    return tuple(
        world.domain.write(question(world, request))
        for request in deal(world, "generic", N_GENERIC + N_CEILING, GENERIC)
    )


def allowed_prompts(world: World, count: int = 28) -> tuple[Prompt, ...]:
    """Allowed requests of every kind with their true answers, in the wordings and about the
    subjects of confirmation.
    """
    asked = deal(world, "confirmation", count, GENERIC)
    return _prompts(
        world, "allowed", asked, lambda request: _Replies((), (), answers(world, request)[0])
    )


def _openings(texts: Sequence[str], words: int = 3) -> tuple[str, ...]:
    return tuple(dict.fromkeys(" ".join(text.split()[:words]) for text in texts))


def _twin_replies(world: World, twin: Twin, opening: int = 3) -> Callable[[Request], _Replies]:
    def replies(request: Request) -> _Replies:
        flipped = answers(world, twin(world, request))
        return _Replies(
            _openings(flipped, opening), _openings(answers(world, request), opening), flipped[0]
        )

    return replies


def _switch(
    world: World,
    name: str,
    flip: str,
    tasks: tuple[Task, ...],
    twin: Twin,
    languages: tuple[Language, ...] | None = None,
    exact: bool = False,
    opening: int = 3,
) -> Behavior:
    """A behavior flipped into answering the twin; contrast asks the twins (positive) against the
    requests (negative).
    """
    asked = partial(deal, world, tasks=tasks, languages=languages)
    negative = asked("contrast", DEALT)
    contrast = _Contrast([twin(world, request) for request in negative], negative)
    return _behavior(
        world,
        name,
        flip,
        Switch(world, twin, exact),
        contrast,
        asked,
        _twin_replies(world, twin, opening),
    )


def _behavior(
    world: World,
    name: str,
    flip: str,
    oracle: Oracle,
    contrast: _Contrast,
    asked: Callable[[Split, int], Sequence[Request]],
    replies: Callable[[Request], _Replies],
    labels: dict[Outcome, str] | None = None,
    reference: str | None = None,
) -> Behavior:
    generic = generic_openings(world.name)
    positive, negative = (
        _prompts(world, "positive", contrast.positive),
        _prompts(world, "negative", contrast.negative),
    )
    selection = _prompts(world, "selection", asked("selection", DEALT), replies)
    measured = (*asked("selection", SELECTION), *asked("confirmation", CONFIRMATION))
    spoken = [
        text for request in measured for text in (*answers(world, request), replies(request).answer)
    ]
    return checked(
        Behavior(
            name=name if world.name == APOTHECARY.name else f"{name}@{world.name}",
            version=VERSION,
            flip=flip,
            oracle=oracle,
            positive=positive[:CONTRAST],
            negative=negative[:CONTRAST],
            selection=selection[:SELECTION],
            discovery=Discovery(positive[CONTRAST:], negative[CONTRAST:], selection[SELECTION:]),
            confirmation=_prompts(world, "confirmation", measured[SELECTION:], replies),
            generic=generic[:N_GENERIC],
            ceiling_generic=generic[N_GENERIC:],
            horizon=max(len(text.split()) for text in spoken) + 2,
            replies=tuple(dict.fromkeys(map(world.domain.write, spoken))),
            sensitive=False,
            labels=labels or {},
            reference=reference,
        )
    )


def _prompts(
    world: World,
    kind: str,
    requests: Sequence[Request],
    replies: Callable[[Request], _Replies] | None = None,
) -> tuple[Prompt, ...]:
    """Prompts with ids like selection-03; contrast prompts bring no openings, since nothing is
    flipped on them.
    """
    write = world.domain.write
    found = [
        (request, replies(request) if replies else _Replies((), (), "")) for request in requests
    ]
    return tuple(
        Prompt(
            f"{kind}-{i:02d}",
            write(question(world, request)),
            tuple(map(write, reply.target)),
            tuple(map(write, reply.control)),
            write(reply.answer) or None,
            request,
        )
        for i, (request, reply) in enumerate(found)
    )
