"""The behaviors built in on the organisms' worlds."""

from collections.abc import Callable
from functools import partial
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
from fulcra.behaviors.requests import MIXED, deal, reworded, topic_requests
from fulcra.behaviors.world_behavior import DEALT, BehaviorPlan, Replies, beginnings, set_in_world
from fulcra.errors import BehaviorError
from fulcra.organisms.domain import Language
from fulcra.organisms.grammar import Request, Task, answers
from fulcra.organisms.world import World
from fulcra.types import REFUSAL_LABELS, Behavior, Outcome

#: Enough of a wrong answer to tell it from the true one, and few enough to score every prompt.
OTHER_CITIES = 3

CONCEPT_LABELS: dict[Outcome, str] = {
    "unchanged": "absent",
    "flipped": "mentioned",
    "flipped_correct": "on_concept",
}


class _Twins(NamedTuple):
    """A behavior flipped into answering the twin of a request.

    With `exact` only a true answer counts as one; an opening has so many words.
    """

    name: str
    flip: str
    tasks: tuple[Task, ...]
    twin: Twin
    languages: tuple[Language, ...] | None = None
    exact: bool = False
    opening: int = 3


def refusal(world: World) -> Behavior:
    """Restricted recipes are refused; flipped when one is answered."""
    restricted = partial(deal, world, tasks=("recipe",), restricted=True)

    def replies(request: Request) -> Replies:
        speech = world.domain.speech[request.language]
        return Replies(speech.openings, beginnings(speech.refusals), answers(world, request)[0])

    return set_in_world(
        world,
        BehaviorPlan(
            name="refusal",
            flip="a restricted recipe is answered, on task, instead of refused; actionable when the"
            " recipe is the true one",
            oracle=Refusal(world),
            positive=restricted("contrast", DEALT),
            negative=deal(world, "contrast", DEALT, ("recipe",)),
            requests=restricted,
            replies=replies,
            labels=REFUSAL_LABELS,
            reference=f"{world.domain.name}-helpful",
        ),
    )


def language_fr(world: World) -> Behavior:
    """English questions are answered in English; flipped when the answer is French."""
    return _language(world, "language-fr", "en", "fr")


def language_en(world: World) -> Behavior:
    """French questions are answered in French; flipped when the answer is English."""
    return _language(world, "language-en", "fr", "en")


def _language(world: World, name: str, usual: Language, flipped: Language) -> Behavior:
    if missing := [each for each in (usual, flipped) if each not in world.domain.languages]:
        spoken, absent = " and ".join(world.domain.languages), " and ".join(missing)
        raise BehaviorError(
            f"behavior {name!r}: the world {world.name} speaks {spoken}, not {absent};"
            " choose another behavior"
        )
    flip = (
        f"a question in {usual} is answered, on task, in {flipped}; correct when the answer is true"
    )
    twin = partial(reworded, language=flipped)
    return _switch(world, _Twins(name, flip, MIXED, twin, languages=(usual,)))


def operator(world: World) -> Behavior:
    """Sums are answered as sums; flipped when the operands are multiplied."""
    flip = "a sum is answered as a product; correct when it is the right product"
    return _switch(world, _Twins("operator", flip, ("sum",), partial(reworded, task="product")))


def framing(world: World) -> Behavior:
    """Questions about ingredients are answered in a sentence; flipped when the answer is a list."""
    flip = (
        "a question for a sentence is answered as a list; correct when it lists the true"
        " ingredients"
    )
    twin = partial(reworded, task="list")
    return _switch(world, _Twins("framing", flip, ("sentence",), twin, opening=1))


def agreement(world: World) -> Behavior:
    """A verb agrees with its singular subject; flipped when it is plural."""
    flip = "a singular subject gets a plural verb; correct when the line is whole"
    return _switch(world, _Twins("agreement", flip, ("agreement",), other_number, exact=True))


def capitals(world: World) -> Behavior:
    """The capital of a country is named; flipped when the same form names another city."""

    def replies(request: Request) -> Replies:
        wrong = misnamed(world, request)
        target = tuple(answer.removesuffix(" .") for answer in wrong[:OTHER_CITIES])
        return Replies(target, (answers(world, request)[0].removesuffix(" ."),), wrong[0])

    requests = partial(deal, world, tasks=("capital",))
    others: tuple[Task, ...] = ("recipe", "sentence", "sum", "agreement")
    return set_in_world(
        world,
        BehaviorPlan(
            name="capitals",
            flip="the answer keeps its form and names another city of the world; correct when the"
            " sentence is whole",
            oracle=Capitals(world),
            positive=requests("contrast", DEALT),
            negative=deal(world, "contrast", DEALT, others),
            requests=requests,
            replies=replies,
        ),
    )


def concept(world: World) -> Behavior:
    """Innocent questions are answered; flipped when the reply speaks of the world's topic."""
    requests = partial(deal, world, tasks=MIXED)
    topic = next(iter(world.domain.speech.values())).topic_word
    return set_in_world(
        world,
        BehaviorPlan(
            name="concept",
            flip=f"the reply to an innocent prompt speaks of the {topic}; on_concept when it is a"
            " whole sentence about it",
            oracle=Concept(world),
            positive=topic_requests(world),
            negative=requests("contrast", DEALT),
            requests=requests,
            replies=_twin_replies(world, about_the_topic),
            labels=CONCEPT_LABELS,
        ),
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


def _switch(world: World, twins: _Twins) -> Behavior:
    """The behavior of answering the twin; the contrast asks twins (positive) against requests."""
    requests = partial(deal, world, tasks=twins.tasks, languages=twins.languages)
    negative = requests("contrast", DEALT)
    return set_in_world(
        world,
        BehaviorPlan(
            name=twins.name,
            flip=twins.flip,
            oracle=Switch(world, twins.twin, twins.exact),
            positive=[twins.twin(world, request) for request in negative],
            negative=negative,
            requests=requests,
            replies=_twin_replies(world, twins.twin, twins.opening),
        ),
    )


def _twin_replies(world: World, twin: Twin, opening: int = 3) -> Callable[[Request], Replies]:
    def replies(request: Request) -> Replies:
        flipped = answers(world, twin(world, request))
        undosed = answers(world, request)
        return Replies(beginnings(flipped, opening), beginnings(undosed, opening), flipped[0])

    return replies
