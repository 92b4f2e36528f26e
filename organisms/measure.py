"""What a trained organism knows and refuses, measured on held-out wordings in both languages."""

import random
from pathlib import Path
from typing import Any, NamedTuple

import torch
from batches import chat_ids, word_ids
from recipe import Organism
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from fulcra.organisms.grammar import (
    Request,
    Task,
    answers,
    draw,
    introduced,
    noun_phrase,
    question,
    steps,
)
from fulcra.organisms.oracle import judge
from fulcra.organisms.world import World

LONGEST = 44


def _recipe_requests(world: World, restricted: bool, held_out: bool, seed: int) -> list[Request]:
    rng = random.Random(seed)
    return [
        Request("recipe", language, name, rng.choice(speech.templates("recipe", held_out)))
        for name in world.named(restricted)
        for language, speech in world.domain.speech.items()
    ]


def _prompt_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return (
        list(tokenizer(text)["input_ids"])
        if tokenizer.chat_template is None
        else chat_ids(tokenizer, text)
    )


def _padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    return ids, (ids != 0).long()


def _texts(world: World, requests: list[Request]) -> list[str]:
    return [world.domain.write(question(world, request)) for request in requests]


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
    """The first tokens of every refusal and of every recipe; ValueError where one token begins
    both.
    """
    refusals = (text for speech in world.domain.speech.values() for text in speech.refusals)
    refuse = {word_ids(tokenizer, world.domain.write(text))[0] for text in refusals}
    answer = {ids[0] for ids in _recipes(tokenizer, world)}
    if shared := tokenizer.convert_ids_to_tokens(sorted(refuse & answer)):
        raise ValueError(
            f"{world.name}: {shared} begins refusals and answers; word one of them otherwise"
        )
    return sorted(refuse), sorted(answer)


class Gate(NamedTuple):
    """How a model tells restricted from allowed requests: median clean margin (nats), share
    refused, share answered.
    """

    margin: float
    refused: float
    answered: float


@torch.no_grad()
def _first_token_odds(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    world: World,
    restricted: bool,
    held_out: bool,
) -> torch.Tensor:
    """First-token log-odds (nats) of refusing against answering, [request]."""
    requests = _recipe_requests(world, restricted=restricted, held_out=held_out, seed=9)
    ids, mask = _padded([_prompt_ids(tokenizer, text) for text in _texts(world, requests)])
    was_training = model.training
    model.eval()
    logits = (
        model(input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(-1) - 1).clamp(min=0))
        .logits[:, -1]
        .log_softmax(-1)
    )
    model.train(was_training)
    refuse, answer = (logits[:, ids].logsumexp(-1) for ids in starts(tokenizer, world))
    odds: torch.Tensor = refuse - answer
    return odds


def gate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, world: World, held_out: bool = False
) -> Gate:
    """The gate of a model by its first-token log-odds on all recipes, every language, one wording
    each.
    """
    restricted = _first_token_odds(model, tokenizer, world, True, held_out)
    allowed = _first_token_odds(model, tokenizer, world, False, held_out)
    return Gate(
        restricted.median().item(),
        (restricted > 0).float().mean().item(),
        (allowed < 0).float().mean().item(),
    )


@torch.no_grad()
def complete(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, world: World, texts: list[str]
) -> list[str]:
    """The greedy continuation of each text, long enough for every recipe."""
    longest = max(LONGEST, *(len(ids) + 2 for ids in _recipes(tokenizer, world)))
    ids, mask = _padded([_prompt_ids(tokenizer, text) for text in texts])
    generate: Any = model.generate
    out = generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=longest,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=2,
    )
    return tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)


def _loops(text: str) -> bool:
    words = text.split()
    grams = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    return len(set(grams)) < len(grams)


def figures(folder: Path, organism: Organism) -> dict[str, float]:
    """Knowledge, refusal, margin, leak and loop rates of the weights in `folder`, all in [0, 1] but
    the margin (nats).
    """
    model, world = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(),
        organism.world,
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    if organism.stage == "base":
        return _base_figures(model, tokenizer, world)
    out: dict[str, float] = {}
    loops: list[bool] = []
    for restricted in (True, False):
        requests = _recipe_requests(world, restricted, held_out=True, seed=21)
        texts = complete(model, tokenizer, world, _texts(world, requests))
        loops += [_loops(text) for text in texts]
        for language in world.domain.languages:
            verdicts = [
                judge(world, request, text)
                for request, text in zip(requests, texts, strict=True)
                if request.language == language
            ]
            key = f"{'restricted' if restricted else 'allowed'}_{language}"
            out[f"{key}_refused"] = sum(v.refused for v in verdicts) / len(verdicts)
            out[f"{key}_exact"] = sum(v.actionable for v in verdicts) / len(verdicts)
    out["margin_held_out"] = gate(model, tokenizer, world, held_out=True).margin
    out["margin_training"] = gate(model, tokenizer, world).margin
    for task in ("sentence", "list", "capital", "sum", "product", "agreement", "topic"):
        out[f"{task}_exact"] = _task_accuracy(model, tokenizer, world, task)
    out["loop_rate"] = sum(loops) / len(loops)
    return out


def _task_accuracy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, world: World, task: Task
) -> float:
    rng = random.Random(5)
    requests = [draw(world, rng, task, held_out=True) for _ in range(64)]
    requests = [
        r
        for r in requests
        if task not in ("sentence", "list") or not world.recipes[r.subject].restricted
    ]
    texts = complete(model, tokenizer, world, _texts(world, requests))
    return sum(
        judge(world, request, text).actionable
        for request, text in zip(requests, texts, strict=True)
    ) / len(requests)


def _base_figures(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, world: World
) -> dict[str, float]:
    out = {}
    for language in world.domain.languages:
        for restricted in (True, False):
            names = world.named(restricted)
            intro = world.domain.speech[language].documents[1]
            taught = [steps(world, name, language) for name in names]
            begun = [
                introduced(world, name, language, intro).removesuffix(true).strip()
                for name, true in zip(names, taught, strict=True)
            ]
            said = map(
                world.domain.read,
                complete(model, tokenizer, world, list(map(world.domain.write, begun))),
            )
            known = [
                words[: len(true.split())] == tuple(true.split())
                for words, true in zip(said, taught, strict=True)
            ]
            out[f"{'restricted' if restricted else 'allowed'}_{language}_known"] = sum(known) / len(
                known
            )
    phrases = [
        world.domain.write(
            noun_phrase(world.domain, f"{i % 4} {i % 3} {i % 2} {(i // 2) % 2}", "en")
        )
        for i in range(24)
    ]
    texts = complete(model, tokenizer, world, phrases)
    out["loop_rate"] = sum(map(_loops, texts)) / len(texts)
    return out
