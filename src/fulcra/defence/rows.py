"""What hardening trains on: the model's own undosed replies to prompts of no measured split."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.behaviors.world_behavior import allowed_prompts
from fulcra.engines.engine import run
from fulcra.engines.generic import GenericText
from fulcra.judges.outcome import typed
from fulcra.models import Model
from fulcra.models.batches import padded
from fulcra.organisms.world import World
from fulcra.types import Behavior, Prompt, RolloutRequest

#: Training prompts of each side of the contrast at most.
MOST = 128
#: Outside worlds every prompt of that place in a side is none of the training, but of the hold.
HELD_OUT = 4
#: Allowed requests of every kind that are dealt to a training in a world; alike ones come once.
DEALT = 224


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
    """Allowed requests of every kind of a world, of its contrast split; none outside worlds."""
    world = world_of_oracle(behavior)
    return () if world is None else allowed_prompts(world, DEALT, "contrast")


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
    """`count` rows in random order, none twice before every one was drawn."""
    drawn: list[Row] = []
    while len(drawn) < count:
        drawn += rng.sample(list(rows), len(rows))
    return drawn[:count]
