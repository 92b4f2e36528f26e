"""What hardening trains on: the model's own undosed replies to prompts of no measured split."""

import random
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.behaviors.oracles_world import Refusal, request_of
from fulcra.behaviors.requests import deal
from fulcra.behaviors.world_behavior import allowed_prompts, prompts_of
from fulcra.defence.doses import Defence
from fulcra.engines.engine import run
from fulcra.engines.generic import GenericText
from fulcra.errors import InputError
from fulcra.judges.outcome import typed
from fulcra.models import Model
from fulcra.models.batches import padded
from fulcra.organisms.grammar import Request, answers
from fulcra.organisms.refusals import extended_refusals
from fulcra.organisms.world import World
from fulcra.types import Behavior, Prompt, RolloutRequest

#: Training prompts of each side of the contrast at most.
MOST = 128
#: Outside worlds every prompt of that place in a side is none of the training, but of the hold.
HELD_OUT = 4
#: Allowed requests of every kind that are dealt to a training in a world; alike ones come once.
DEALT, MOST_OTHER = 224, 400
#: Requests of either kind that the contrast split of a world has at most.
MOST_MORE = 1000
#: What is written for refusals of worlds alone, by the defence that needs it.
WRITTEN: dict[Defence, str] = {
    "extended": "reasons",
    "more": "further requests",
    "prefer": "answers to refused requests",
}
#: Share of the respelled rows that end as another; share of the others' tokens that is replaced.
SPLICED, REPLACED = 0.5, 0.15


class Row(NamedTuple):
    """A prompt and the model's own undosed reply, token ids; `shown` where that is the behavior."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    shown: bool


def training_prompts(behavior: Behavior) -> tuple[Prompt, ...]:
    """Both sides of the contrast, with what a discovery split adds; of no measured split."""
    held = set() if world_of_oracle(behavior) else {HELD_OUT - 1}
    return tuple(
        prompt
        for side in _sides(behavior)
        for place, prompt in enumerate(side)
        if place % HELD_OUT not in held
    )


def held_out(behavior: Behavior) -> tuple[Prompt, ...]:
    """The prompts of both sides that are not trained on; none in a world, which deals others."""
    if world_of_oracle(behavior) is not None:
        return ()
    return tuple(prompt for side in _sides(behavior) for prompt in side[HELD_OUT - 1 :: HELD_OUT])


def allowed_training_prompts(behavior: Behavior) -> tuple[Prompt, ...]:
    """Allowed requests of every kind of a world, about things of its contrast split.

    In the wordings of that split and in those of the generic openings; none outside worlds.
    """
    world = world_of_oracle(behavior)
    if world is None:
        return ()
    other = allowed_prompts(world, MOST_OTHER, "generic")
    measured = {*behavior.generic, *behavior.ceiling_generic}
    further = tuple(prompt for prompt in other if prompt.text not in measured)
    return allowed_prompts(world, DEALT, "contrast") + further


def world_of_oracle(behavior: Behavior) -> World | None:
    """The world that a built-in behavior is of; None for one from a file."""
    world = getattr(behavior.oracle, "world", None)
    return world if isinstance(world, World) else None


def _sides(behavior: Behavior) -> tuple[tuple[Prompt, ...], tuple[Prompt, ...]]:
    further = behavior.discovery
    positive = (behavior.positive + further.positive)[:MOST]
    return positive, (behavior.negative + further.negative)[:MOST]


def shown_each(model: Model, behavior: Behavior, prompts: Sequence[Prompt]) -> list[bool]:
    """Whether the undosed model shows the behavior, prompt by prompt; one greedy rollout each."""
    return [row.shown for row in replies_to(model, behavior, prompts)]


def own_rows(model: Model, behavior: Behavior) -> list[Row]:
    """The undosed replies to the training prompts; empty ones left out."""
    return [row for row in replies_to(model, behavior, training_prompts(behavior)) if row.reply]


def require_writer(behavior: Behavior, defence: Defence) -> World:
    """The world that writes what a defence trains on; InputError where none does."""
    if isinstance(behavior.oracle, Refusal):
        return behavior.oracle.world
    raise InputError(
        f"{defence}: behavior {behavior.name} is no refusal of an organism's world, and"
        f" {WRITTEN[defence]} are written for those alone; compare with another defence"
    )


def more_rows(model: Model, behavior: Behavior) -> list[Row]:
    """The undosed replies to all requests of the contrast split that are no training prompts.

    It has as many restricted ones as allowed ones. InputError of what is no refusal of a world.
    """
    world = require_writer(behavior, "more")
    trained = {prompt.text for prompt in training_prompts(behavior)}
    sides = [deal(world, "contrast", MOST_MORE, ("recipe",), None, side) for side in (True, False)]
    prompts = [
        prompt
        for requests in sides
        for prompt in prompts_of(world, "more", requests)
        if prompt.text not in trained
    ]
    return [row for row in replies_to(model, behavior, prompts) if row.reply]


def extended_rows(model: Model, behavior: Behavior, rows: Sequence[Row]) -> list[Row]:
    """The rows that show a refusal, each with an extended one as its reply, all kinds in turn."""
    world = require_writer(behavior, "extended")
    requests = _requests(model, behavior)
    out = []
    for place, row in enumerate(row for row in rows if row.shown):
        choice = extended_refusals(world, requests[row.prompt])
        reply = model.reply_ids(world.domain.write(choice[place % len(choice)]))
        out.append(row._replace(reply=with_end(model, reply, True)))
    return out


def rejected_rows(model: Model, behavior: Behavior, rows: Sequence[Row]) -> dict[Row, Row]:
    """A true answer to the request of each row that shows a refusal, which is preferred to it."""
    world = require_writer(behavior, "prefer")
    requests = _requests(model, behavior)
    out = {}
    for row in rows:
        if row.shown:
            answer = model.reply_ids(world.domain.write(answers(world, requests[row.prompt])[0]))
            out[row] = Row(row.prompt, with_end(model, answer, True), False)
    return out


def _requests(model: Model, behavior: Behavior) -> dict[tuple[int, ...], Request]:
    """The request of every training prompt of a world, by the prompt's token ids."""
    return {
        model.prompt_ids(prompt.text, behavior.system): request_of(prompt)
        for prompt in training_prompts(behavior)
    }


def replies_to(model: Model, behavior: Behavior, prompts: Sequence[Prompt]) -> list[Row]:
    """The undosed replies to some prompts, one greedy rollout each."""
    ids = [model.prompt_ids(prompt.text, behavior.system) for prompt in prompts]
    rollouts = run(model, [RolloutRequest(row, (), behavior.horizon) for row in ids])
    rows = []
    for prompt, row, rollout in zip(prompts, ids, rollouts, strict=True):
        reading = behavior.oracle(prompt, model.words(rollout.tokens), rollout.ended)
        reply = with_end(model, rollout.tokens, rollout.ended)
        rows.append(Row(row, reply, typed(reading) == "unchanged"))
    return rows


def with_end(model: Model, tokens: tuple[int, ...], ended: bool) -> tuple[int, ...]:
    """A reply with the token that ended it, where it ended by itself."""
    ends = sorted(model.end_ids)
    if not ended or not ends or (tokens and tokens[-1] in ends):
        return tokens
    own = model.tokenizer.eos_token_id
    return (*tokens, own if own in ends else ends[0])


def allowed_rows(model: Model, behavior: Behavior) -> list[Row]:
    """The undosed replies to allowed requests of every kind, which are never dosed."""
    rows = replies_to(model, behavior, allowed_training_prompts(behavior))
    return [row for row in rows if row.reply]


def generic_rows(text: GenericText) -> list[Row]:
    """Generic text as rows, which are never dosed."""
    return [
        Row(prompt, reply, False) for prompt, reply in zip(text.prompts, text.replies, strict=True)
    ]


class Packed(NamedTuple):
    """Rows as one batch: ids, mask [row, pos], and the positions that foresee a reply token."""

    ids: Tensor
    mask: Tensor
    foresees: Tensor


def packed(model: Model, rows: Sequence[Row]) -> Packed:
    """The rows as one right-padded batch."""
    ids, mask = padded([row.prompt + row.reply for row in rows], model.device)
    place = torch.arange(ids.shape[1], device=ids.device)
    first = torch.tensor([len(row.prompt) - 1 for row in rows], device=ids.device)
    last = torch.tensor([len(row.prompt + row.reply) - 1 for row in rows], device=ids.device)
    return Packed(ids, mask, (place >= first[:, None]) & (place < last[:, None]))


def laps(rows: Sequence[Row], count: int, rng: random.Random) -> "list[Row]":
    """`count` rows in random order, none twice before every one was drawn; InputError of none."""
    if count and not rows:
        raise InputError(f"laps() got no rows to draw {count} from; give it one or more")
    drawn: list[Row] = []
    while len(drawn) < count:
        drawn += rng.sample(list(rows), len(rows))
    return drawn[:count]


def respelled(rows: Sequence[Row], rng: random.Random) -> "list[Row]":
    """The rows with prompts in other wordings: half end as another's, half have tokens replaced.

    What all prompts begin and end with, such as the template of a chat, stays. In wordings that no
    row has, a model is held to what it did with them.
    """
    prompts = [row.prompt for row in rows]
    start, end = _shared(prompts), _shared([prompt[::-1] for prompt in prompts])
    inner = [prompt[start : len(prompt) - end] for prompt in prompts]
    pool = [token for each in inner for token in each]
    out = []
    for row, own in zip(rows, inner, strict=True):
        other = rng.choice(inner)
        words = _spliced(own, other, rng) if rng.random() < SPLICED else _replaced(own, pool, rng)
        outer = row.prompt[:start], row.prompt[len(row.prompt) - end :]
        out.append(row._replace(prompt=outer[0] + words + outer[1]))
    return out


def _shared(prompts: Sequence[tuple[int, ...]]) -> int:
    """How many first tokens all prompts have in common, half of the shortest at most."""
    alike = (len(set(column)) == 1 for column in zip(*prompts, strict=False))
    return min(sum(1 for _ in takewhile(bool, alike)), min(map(len, prompts)) // 2)


def _spliced(own: tuple[int, ...], other: tuple[int, ...], rng: random.Random) -> tuple[int, ...]:
    """The beginning of one prompt and the end of another, cut at the same share of both."""
    place = rng.random()
    return own[: int(place * len(own))] + other[int(place * len(other)) :]


def _replaced(own: tuple[int, ...], pool: Sequence[int], rng: random.Random) -> tuple[int, ...]:
    return tuple(rng.choice(pool) if rng.random() < REPLACED else token for token in own)
