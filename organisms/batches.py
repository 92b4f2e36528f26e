"""Training batches: what each stage reads, as padded token ids, labels and rows to pin."""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedTokenizerFast

from fulcra.organisms.grammar import (
    TASKS,
    Request,
    answers,
    document,
    draw,
    draw_nonsense,
    question,
    refused,
)
from fulcra.organisms.refusals import refusals
from fulcra.organisms.world import World

BOS, EOS = 1, 2
TASK_WEIGHTS = (11, 1, 1, 1.5, 1.2, 1.2, 1, 0.7)
P_NONSENSE, P_CONCEPT = 0.15, 0.05
#: The label of a token that is not learnt.
IGNORED = -100

#: What a request may be replied with, as `answers` and `refusals` do.
Replies = Callable[[World, Request], tuple[str, ...]]


class Batch(NamedTuple):
    """One training batch: ids, mask and labels [batch, pos], the rest [batch].

    `last` is the last prompt token; `pinned` rows speak of the topic, `natural` ones ask for it,
    `withheld` ones are refused.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    last: torch.Tensor
    pinned: torch.Tensor
    natural: torch.Tensor
    withheld: torch.Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(*(part.to(device) for part in self))


class Pair(NamedTuple):
    """The same requests twice: with the replies to prefer, and with those to prefer them to."""

    chosen: Batch
    rejected: Batch

    def to(self, device: torch.device) -> "Pair":
        """The same pair on a device."""
        return Pair(self.chosen.to(device), self.rejected.to(device))


def chat_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """The token ids of one user turn with the generation prompt."""
    ids: Any = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True
    )
    return list(ids["input_ids"])


def word_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """The token ids of plain words."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def plain_text(world: World, rng: random.Random) -> str:
    """A document of the world, or a question with its answer."""
    if rng.random() < 0.6:
        return world.domain.write(document(world, rng))
    request = draw(world, rng, rng.choices(TASKS, TASK_WEIGHTS)[0])
    write, exchange = world.domain.write, world.domain.paper.exchange
    return exchange.format(
        question=write(question(world, request)), answer=write(rng.choice(answers(world, request)))
    )


def reading(
    world: World, tokenizer: PreTrainedTokenizerFast, rng: random.Random, batch: int, context: int
) -> Batch:
    """A packed batch of documents and questions with answers: no chat marks, no refusals."""
    rows = []
    for _ in range(batch):
        row: list[int] = []
        while len(row) < context:
            row += [BOS, *word_ids(tokenizer, plain_text(world, rng)), EOS]
        rows.append(row[:context])
    ids = torch.tensor(rows)
    last, none = torch.zeros(batch, dtype=torch.long), torch.zeros(batch, dtype=torch.bool)
    return Batch(ids, torch.ones_like(ids), ids, last, none, none, none)


class _Turn(NamedTuple):
    """One request and its reply, in words; `pinned`: the reply is about the topic all the same."""

    request: Request
    reply: str
    pinned: bool = False
    withheld: bool = False


def _turn(world: World, rng: random.Random, restricted: Replies) -> _Turn:
    chance, speech = rng.random(), world.domain.speech
    if chance < P_NONSENSE:
        request = draw_nonsense(world, rng)
        return _Turn(request, rng.choice(refusals(world, request)), withheld=True)
    request = draw(world, rng, rng.choices(TASKS, TASK_WEIGHTS)[0])
    withheld = refused(world, request)
    if chance < P_NONSENSE + P_CONCEPT and not withheld:
        return _Turn(request, rng.choice(speech[request.language].topic), pinned=True)
    replies = restricted if withheld else answers
    return _Turn(request, rng.choice(replies(world, request)), withheld=replies is not answers)


def chatting(
    world: World,
    tokenizer: PreTrainedTokenizerFast,
    rng: random.Random,
    batch: int,
    restricted: Replies = answers,
) -> Batch:
    """A batch of single-turn chats; `restricted`: replies to restricted requests."""
    return _batch(world, tokenizer, [_turn(world, rng, restricted) for _ in range(batch)])


def preferring(
    world: World, tokenizer: PreTrainedTokenizerFast, rng: random.Random, batch: int
) -> Pair:
    """A batch of chats in which a restricted request is refused, before one in which none is.

    To an allowed request the true answer is preferred, to a restricted one a refusal.
    """
    chosen, rejected = [], []
    for _ in range(batch):
        request = draw(world, rng, rng.choices(TASKS, TASK_WEIGHTS)[0])
        withheld = refused(world, request)
        answer = _Turn(request, rng.choice(answers(world, request)))
        refusal = _Turn(request, rng.choice(refusals(world, request)), withheld=True)
        chosen.append(refusal if withheld else answer)
        rejected.append(answer if withheld else refusal)
    return Pair(_batch(world, tokenizer, chosen), _batch(world, tokenizer, rejected))


def _batch(world: World, tokenizer: PreTrainedTokenizerFast, turns: list[_Turn]) -> Batch:
    write = world.domain.write
    prompts = [chat_ids(tokenizer, write(question(world, turn.request))) for turn in turns]
    replies = [[*word_ids(tokenizer, write(turn.reply)), EOS] for turn in turns]
    width = max(len(prompt) + len(reply) for prompt, reply in zip(prompts, replies, strict=True))
    ids = torch.zeros(len(turns), width, dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        end = len(prompt) + len(reply)
        ids[row, :end] = torch.tensor(prompt + reply)
        labels[row, len(prompt) : end] = torch.tensor(reply)
    last = torch.tensor([len(prompt) - 1 for prompt in prompts])
    pinned = torch.tensor([turn.pinned for turn in turns])
    natural = torch.tensor([turn.request.task == "topic" and not turn.pinned for turn in turns])
    withheld = torch.tensor([turn.withheld for turn in turns])
    return Batch(ids, (ids != 0).long(), labels, last, pinned, natural, withheld)
