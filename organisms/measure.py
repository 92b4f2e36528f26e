"""What a trained organism knows and refuses, measured on held-out wordings in every language."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from batches import chat_ids, word_ids
from recipe import Organism
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from fulcra.organisms.domain import Language
from fulcra.organisms.grammar import (
    TASKS,
    Request,
    Task,
    answers,
    draw,
    introduced,
    noun_phrase,
    question,
    refused,
    steps,
)
from fulcra.organisms.oracle import judge
from fulcra.organisms.world import World

LONGEST = 44
#: Requests of one task in the card, and texts begun to count loops in a base model.
TASK_REQUESTS, PHRASES = 64, 24


class Taught(NamedTuple):
    """A model with its tokenizer and the world that it was taught."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    world: World

    def prompts(self, requests: Sequence[Request]) -> list[str]:
        """The text of every request."""
        return [self.world.domain.write(question(self.world, request)) for request in requests]


def _recipe_requests(world: World, restricted: bool, held_out: bool, seed: int) -> list[Request]:
    rng = random.Random(seed)
    return [
        Request("recipe", language, name, rng.choice(speech.templates("recipe", held_out)))
        for name in world.named(restricted)
        for language, speech in world.domain.speech.items()
    ]


def _prompt_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    if tokenizer.chat_template is None:
        return list(tokenizer(text)["input_ids"])
    return chat_ids(tokenizer, text)


def _padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    return ids, (ids != 0).long()


def _recipes(tokenizer: PreTrainedTokenizerFast, world: World) -> list[list[int]]:
    """The token ids of every recipe's answer in every language."""
    requests = [
        Request("recipe", language, name, "")
        for name in world.recipes
        for language in world.domain.languages
    ]
    return [
        word_ids(tokenizer, world.domain.write(answers(world, request)[0])) for request in requests
    ]


def starts(tokenizer: PreTrainedTokenizerFast, world: World) -> tuple[list[int], list[int]]:
    """The first tokens of every refusal and of every recipe; ValueError where one begins both."""
    refusals = (text for speech in world.domain.speech.values() for text in speech.refusals)
    refuse = {word_ids(tokenizer, world.domain.write(text))[0] for text in refusals}
    answer = {ids[0] for ids in _recipes(tokenizer, world)}
    if shared := tokenizer.convert_ids_to_tokens(sorted(refuse & answer)):
        raise ValueError(
            f"{world.name}: {shared} begins refusals and answers; word one of them otherwise"
        )
    return sorted(refuse), sorted(answer)


class Prompts(NamedTuple):
    """Requests as a model takes them, left-padded: token ids, mask and positions [request, pos]."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    position_ids: torch.Tensor

    def to(self, device: torch.device) -> "Prompts":
        """The same prompts on a device."""
        return Prompts(*(part.to(device) for part in self))


def recipe_prompts(taught: Taught, restricted: bool, held_out: bool) -> Prompts:
    """A request for every restricted (or allowed) recipe, in every language."""
    requests = _recipe_requests(taught.world, restricted=restricted, held_out=held_out, seed=9)
    ids, mask = _padded([_prompt_ids(taught.tokenizer, text) for text in taught.prompts(requests)])
    return Prompts(ids, mask, (mask.cumsum(-1) - 1).clamp(min=0))


class Gate(NamedTuple):
    """How a model tells restricted from allowed requests.

    The median clean margin on restricted ones (nats), and the shares refused and answered.
    """

    margin: float
    refused: float
    answered: float


@torch.no_grad()
def _first_token_odds(taught: Taught, restricted: bool, held_out: bool) -> torch.Tensor:
    """First-token log-odds (nats) of refusing against answering, [request]."""
    model, tokenizer, world = taught
    prompts = recipe_prompts(taught, restricted, held_out).to(model.device)
    was_training = model.training
    model.eval()
    logits = model(**prompts._asdict()).logits
    model.train(was_training)
    log_probs = logits[:, -1].log_softmax(-1)
    refuse, answer = (log_probs[:, tokens].logsumexp(-1) for tokens in starts(tokenizer, world))
    odds: torch.Tensor = refuse - answer
    return odds


def gate(taught: Taught, held_out: bool = False) -> Gate:
    """The gate of a model by its first-token log-odds on all recipes, in every language."""
    restricted = _first_token_odds(taught, True, held_out)
    allowed = _first_token_odds(taught, False, held_out)
    return Gate(
        restricted.median().item(),
        (restricted > 0).float().mean().item(),
        (allowed < 0).float().mean().item(),
    )


@torch.no_grad()
def complete(taught: Taught, texts: list[str]) -> list[str]:
    """The greedy continuation of each text, long enough for every recipe."""
    model, tokenizer, world = taught
    longest = max(LONGEST, *(len(ids) + 2 for ids in _recipes(tokenizer, world)))
    ids, mask = _padded([_prompt_ids(tokenizer, text) for text in texts])
    generate: Any = model.generate
    replies = generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=longest,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=2,
    )
    return tokenizer.batch_decode(replies[:, ids.shape[1] :], skip_special_tokens=True)


def _loops(text: str) -> bool:
    words = text.split()
    grams = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    return len(set(grams)) < len(grams)


def figures(folder: Path, organism: Organism) -> dict[str, float]:
    """The figures of an organism's card by name, of the weights in `folder`.

    Knowledge, refusal, leak and loop rates are in [0, 1], margins in nats.
    """
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    ).eval()
    taught = Taught(model, PreTrainedTokenizerFast.from_pretrained(folder), organism.world)
    return _base_figures(taught) if organism.stage == "base" else _chat_figures(taught)


def _chat_figures(taught: Taught) -> dict[str, float]:
    rates: dict[str, float] = {}
    loops: list[bool] = []
    for side, restricted in (("restricted", True), ("allowed", False)):
        requests = _recipe_requests(taught.world, restricted, held_out=True, seed=21)
        texts = complete(taught, taught.prompts(requests))
        loops += map(_loops, texts)
        verdicts = [
            (request.language, judge(taught.world, request, text))
            for request, text in zip(requests, texts, strict=True)
        ]
        for language in taught.world.domain.languages:
            own = [facts for spoken, facts in verdicts if spoken == language]
            rates[f"{side}_{language}_refused"] = _share([facts.refused for facts in own])
            rates[f"{side}_{language}_exact"] = _share([facts.actionable for facts in own])
    rates["margin_held_out"] = gate(taught, held_out=True).margin
    rates["margin_training"] = gate(taught).margin
    for task in TASKS[1:]:
        rates[f"{task}_exact"] = _task_accuracy(taught, task)
    return {**rates, "loop_rate": _share(loops)}


def _share(truths: Sequence[bool]) -> float:
    return sum(truths) / len(truths)


def _task_accuracy(taught: Taught, task: Task) -> float:
    """The share of true answers to allowed requests of a task."""
    world, rng = taught.world, random.Random(5)
    drawn = [draw(world, rng, task, held_out=True) for _ in range(TASK_REQUESTS)]
    requests = [request for request in drawn if not refused(world, request)]
    texts = complete(taught, taught.prompts(requests))
    return _share(
        [
            judge(world, request, text).actionable
            for request, text in zip(requests, texts, strict=True)
        ]
    )


def _base_figures(taught: Taught) -> dict[str, float]:
    rates = {}
    for language in taught.world.domain.languages:
        for side, restricted in (("restricted", True), ("allowed", False)):
            names = taught.world.named(restricted)
            rates[f"{side}_{language}_known"] = _recalled(taught, names, language)
    domain = taught.world.domain
    first = domain.languages[0]
    subjects = [f"{i % 4} {i % 3} {i % 2} {(i // 2) % 2}" for i in range(PHRASES)]
    phrases = [domain.write(noun_phrase(domain, subject, first)) for subject in subjects]
    return {**rates, "loop_rate": _share([_loops(text) for text in complete(taught, phrases)])}


def _recalled(taught: Taught, names: Sequence[str], language: Language) -> float:
    """The share of recipes that a base model goes on with as they are."""
    world = taught.world
    document = world.domain.speech[language].documents[1]
    truths = [steps(world, name, language) for name in names]
    beginnings = [
        introduced(world, name, language, document).removesuffix(truth).strip()
        for name, truth in zip(names, truths, strict=True)
    ]
    texts = complete(taught, [world.domain.write(words) for words in beginnings])
    return _share(
        [
            world.domain.read(text)[: len(truth.split())] == tuple(truth.split())
            for text, truth in zip(texts, truths, strict=True)
        ]
    )
