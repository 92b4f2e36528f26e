"""How a built-in behavior is put together in a world: from requests to prompts with openings."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from fulcra.behaviors.requests import GENERIC, deal
from fulcra.behaviors.splits import N_CEILING, N_GENERIC, checked
from fulcra.organisms.domains import APOTHECARY
from fulcra.organisms.grammar import Request, answers, question
from fulcra.organisms.world import World, world_named
from fulcra.types import Behavior, Discovery, Oracle, Outcome, Prompt, PromptSplit

CONTRAST, SELECTION, CONFIRMATION = 32, 8, 16
#: Requests dealt to a contrast side, to selection and to confirmation at most: those beyond the
#: split are the discovery prompts, and the reserve of confirmation.
DEALT = 128
VERSION = "1"


class Replies(NamedTuple):
    """How the flipped and the undosed reply to a request begin, and one true flipped reply."""

    target: tuple[str, ...] = ()
    control: tuple[str, ...] = ()
    answer: str = ""


class BehaviorPlan(NamedTuple):
    """What makes a behavior in a world: its requests, their replies and the oracle that reads them.

    `flip` says in words what counts as one. `requests` deals so many of a split, `positive` and
    `negative` are those of the contrast. `reference` names the model that judges coherence.
    """

    name: str
    flip: str
    oracle: Oracle
    positive: Sequence[Request]
    negative: Sequence[Request]
    requests: Callable[[PromptSplit, int], Sequence[Request]]
    replies: Callable[[Request], Replies]
    labels: dict[Outcome, str] = {}  # noqa: RUF012  never changed
    reference: str | None = None


def set_in_world(world: World, plan: BehaviorPlan) -> Behavior:
    """The checked behavior of a plan; its horizon holds every true and every flipped reply."""
    generic = generic_openings(world.name)
    positive = prompts_of(world, "positive", plan.positive)
    negative = prompts_of(world, "negative", plan.negative)
    selection = prompts_of(world, "selection", plan.requests("selection", DEALT), plan.replies)
    confirmation = plan.requests("confirmation", DEALT)
    measured = (*plan.requests("selection", SELECTION), *confirmation[:CONFIRMATION])
    texts = _reply_texts(world, plan, measured)
    horizon = max(len(text.split()) for text in texts) + 2
    confirming = prompts_of(world, "confirmation", confirmation, plan.replies)
    return checked(
        Behavior(
            name=plan.name if world.name == APOTHECARY.name else f"{plan.name}@{world.name}",
            version=VERSION,
            flip=plan.flip,
            oracle=plan.oracle,
            positive=positive[:CONTRAST],
            negative=negative[:CONTRAST],
            selection=selection[:SELECTION],
            discovery=Discovery(positive[CONTRAST:], negative[CONTRAST:], selection[SELECTION:]),
            confirmation=confirming[:CONFIRMATION],
            reserve=confirming[CONFIRMATION:],
            generic=generic[:N_GENERIC],
            ceiling_generic=generic[N_GENERIC:],
            horizon=horizon,
            replies=tuple(dict.fromkeys(map(world.domain.write, texts))),
            sensitive=False,
            labels=plan.labels,
            reference=plan.reference,
        )
    )


@cache
def generic_openings(name: str) -> tuple[str, ...]:
    """48 allowed requests of every kind but the topic, the same for all behaviors of this world."""
    world = world_named(name)
    requests = deal(world, "generic", N_GENERIC + N_CEILING, GENERIC)
    return tuple(world.domain.write(question(world, request)) for request in requests)


def allowed_prompts(
    world: World, count: int = 28, split: PromptSplit = "confirmation"
) -> tuple[Prompt, ...]:
    """Allowed requests of every kind with their true answers, subjects and wordings of a split."""
    requests = deal(world, split, count, GENERIC)
    return prompts_of(
        world, "allowed", requests, lambda request: Replies(answer=answers(world, request)[0])
    )


def beginnings(texts: Sequence[str], words: int = 3) -> tuple[str, ...]:
    """The first words of some texts, each beginning once."""
    return tuple(dict.fromkeys(" ".join(text.split()[:words]) for text in texts))


def _reply_texts(world: World, plan: BehaviorPlan, requests: Sequence[Request]) -> list[str]:
    """The true answers to some requests, each with one true flipped reply."""
    texts: list[str] = []
    for request in requests:
        texts += [*answers(world, request), plan.replies(request).answer]
    return texts


def prompts_of(
    world: World,
    kind: str,
    requests: Sequence[Request],
    replies: Callable[[Request], Replies] | None = None,
) -> tuple[Prompt, ...]:
    """Prompts with ids like selection-03; without `replies` they bring no openings."""
    write = world.domain.write
    prompts = []
    for i, request in enumerate(requests):
        reply = replies(request) if replies else Replies()
        prompts.append(
            Prompt(
                f"{kind}-{i:02d}",
                write(question(world, request)),
                tuple(map(write, reply.target)),
                tuple(map(write, reply.control)),
                write(reply.answer) or None,
                request,
            )
        )
    return tuple(prompts)
