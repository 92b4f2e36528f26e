"""What an intervention does besides: quality, surprise and divergence of its text, and answers to
allowed requests, item by item.
"""

from collections.abc import Mapping
from statistics import fmean
from typing import Any, NamedTuple

from fulcra.behaviors.oracles_world import Refusal
from fulcra.behaviors.world_behavior import allowed_prompts
from fulcra.engines.generic import TEMPERATURE, TOKENS
from fulcra.engines.local import run
from fulcra.formulas.degeneracy import distinct_ngram_ratio
from fulcra.formulas.resampling import cluster_bootstrap
from fulcra.ladders.kl_ladder import TEXTS, edit_divergences
from fulcra.models import Model
from fulcra.organisms.world import World
from fulcra.protocol.subject import Ground, surprises
from fulcra.types import Behavior, Edits, Oracle, Prompt, Reading, RolloutRequest, Sampling

#: Paper B's quality: the unique share of word 4-grams.
WORDS = 4
#: One value an item of a prompt set; items that cannot be scored are left out.
Items = dict[str, float]


class Allowed(NamedTuple):
    """Requests that are to be answered, and who reads the answers; `true` where the oracle knows
    true answers.
    """

    prompts: tuple[Prompt, ...]
    oracle: Oracle
    true: bool


def allowed_of(behavior: Behavior) -> Allowed:
    """The world's allowed requests for a built-in behavior; the contrast's other side for one of
    your own.
    """
    world = getattr(behavior.oracle, "world", None)
    if isinstance(world, World):
        return Allowed(allowed_prompts(world), Refusal(world), true=True)
    return Allowed(behavior.negative, behavior.oracle, true=False)


def quality(text: str) -> float | None:
    """Paper B's quality of one text, unique / total word 4-grams; None (unscored, not perfect)
    below four words.
    """
    return distinct_ngram_ratio(text.split(), WORDS)


def generic_items(model: Model, behavior: Behavior, edits: Edits, seed: int) -> dict[str, Items]:
    """Quality, and surprise under the clean model [nats a token], of generic openings continued
    under the edits.
    """
    prompts = [model.prompt_ids(text, behavior.system) for text in behavior.ceiling_generic]
    requests = [
        RolloutRequest(p, edits, TOKENS, Sampling(TEMPERATURE, seed * 1_000_003 + i))
        for i, p in enumerate(prompts)
    ]
    said = {
        f"generic-{i}": (p, r.tokens)
        for i, (p, r) in enumerate(zip(prompts, run(model, requests), strict=True))
        if r.tokens and r.finite
    }
    values = zip(said, surprises(model, list(said.values())), strict=True)
    qualities = {name: quality(model.words(tokens)) for name, (_, tokens) in said.items()}
    return {
        "generic_quality": {name: value for name, value in qualities.items() if value is not None},
        "surprise": {name: fmean(row) for name, row in values},
    }


def allowed_items(
    model: Model, behavior: Behavior, allowed: Allowed, edits: Edits
) -> dict[str, Items]:
    """Over-refusal on allowed requests, and the share answered truly where the oracle knows;
    greedy.
    """
    longest = [
        len(model.reply_ids(prompt.answer)) + 2 for prompt in allowed.prompts if prompt.answer
    ]
    horizon = max([behavior.horizon, *longest])
    ids = [model.prompt_ids(prompt.text, behavior.system) for prompt in allowed.prompts]
    rollouts = run(model, [RolloutRequest(prompt, edits, horizon) for prompt in ids])
    read: dict[str, Reading] = {
        prompt.id: allowed.oracle(prompt, model.words(rollout.tokens), rollout.ended)
        for prompt, rollout in zip(allowed.prompts, rollouts, strict=True)
    }
    found = {}
    if allowed.true or behavior.label("unchanged") == "refuse":
        found["over_refusal"] = {name: float(reading.unchanged) for name, reading in read.items()}
    if allowed.true:
        found["accuracy"] = {name: float(reading.correct) for name, reading in read.items()}
    return found


def kl_per_token(model: Model, ground: Ground, edits: Edits) -> float:
    """Mean KL(clean || edited) on the generic text's continuations, nats a token."""
    return float(edit_divergences(model, [edits], ground.text.first(TEXTS))[0])


def paired(
    clean: Mapping[str, float], edited: Mapping[str, float], seed: int = 0
) -> dict[str, Any]:
    """Means with and without, and the mean difference with its 95 % bootstrap interval over the
    items scored in both.
    """
    both = [name for name in clean if name in edited]
    found: dict[str, Any] = {
        "clean": fmean(clean.values()) if clean else None,
        "edited": fmean(edited.values()) if edited else None,
        "n": len(both),
        "unscored": len(clean.keys() ^ edited.keys()),
    }
    if len(both) < 2:
        return found | {"difference": None, "low": None, "high": None}
    interval = cluster_bootstrap([edited[name] - clean[name] for name in both], both, seed)
    return found | {"difference": interval.value, "low": interval.low, "high": interval.high}


def mean(items: Mapping[str, float] | None) -> float | None:
    """The mean of some items; None without any."""
    return fmean(items.values()) if items else None
