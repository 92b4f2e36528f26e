"""What an intervention does to other text: generic openings and allowed requests, item by item."""

from collections.abc import Mapping
from statistics import fmean
from typing import NamedTuple

from fulcra.behaviors.oracles_world import Refusal
from fulcra.behaviors.world_behavior import allowed_prompts
from fulcra.engines.engine import run
from fulcra.engines.generic import TEMPERATURE, TOKENS
from fulcra.formulas.degeneracy import distinct_ngram_ratio
from fulcra.formulas.resampling import cluster_bootstrap
from fulcra.ladders.kl_ladder import TEXTS, edit_divergences
from fulcra.organisms.world import World
from fulcra.protocol.results.judging import Paired
from fulcra.protocol.subject import Ground, Subject, surprises
from fulcra.types import Behavior, Edits, Oracle, Prompt, Reading, RolloutRequest, Sampling

#: Paper B's quality: the unique share of word 4-grams.
WORDS = 4
#: One value an item of a prompt set; items that cannot be scored are left out.
Items = dict[str, float]


class Allowed(NamedTuple):
    """Requests that are to be answered, and who reads the answers.

    `true` where the oracle knows true answers.
    """

    prompts: tuple[Prompt, ...]
    oracle: Oracle
    true: bool


def allowed_of(behavior: Behavior) -> Allowed:
    """The world's allowed requests for a built-in behavior, else the contrast's other side."""
    world = getattr(behavior.oracle, "world", None)
    if isinstance(world, World):
        return Allowed(allowed_prompts(world), Refusal(world), true=True)
    return Allowed(behavior.negative, behavior.oracle, true=False)


def quality(text: str) -> float | None:
    """Paper B's quality of one text, unique / total word 4-grams; None below four words.

    Such a text is unscored, not perfect.
    """
    return distinct_ngram_ratio(text.split(), WORDS)


def besides(subject: Subject, edits: Edits) -> dict[str, Items]:
    """Generic text and allowed requests under some edits, item by item."""
    allowed = allowed_of(subject.behavior)
    return generic_items(subject, edits) | allowed_items(subject, allowed, edits)


def generic_items(subject: Subject, edits: Edits) -> dict[str, Items]:
    """Quality and surprise of generic openings continued under the edits.

    Surprise is that of the clean model [nats a token].
    """
    model, behavior = subject.model, subject.behavior
    prompts = [model.prompt_ids(text, behavior.system) for text in behavior.ceiling_generic]
    sampling = Sampling(TEMPERATURE, subject.seed)
    requests = [
        RolloutRequest(ids, edits, TOKENS, sampling.of_row(i)) for i, ids in enumerate(prompts)
    ]
    pairs = {}
    for i, (ids, rollout) in enumerate(zip(prompts, run(model, requests), strict=True)):
        if rollout.tokens and rollout.finite:
            pairs[f"generic-{i}"] = (ids, rollout.tokens)
    qualities = {name: quality(model.words(reply)) for name, (_, reply) in pairs.items()}
    nats = zip(pairs, surprises(model, list(pairs.values())), strict=True)
    return {
        "generic_quality": {name: value for name, value in qualities.items() if value is not None},
        "surprise": {name: fmean(row) for name, row in nats},
    }


def allowed_items(subject: Subject, allowed: Allowed, edits: Edits) -> dict[str, Items]:
    """Over-refusal on allowed requests, and the share answered truly where the oracle knows.

    Greedy.
    """
    model, behavior = subject.model, subject.behavior
    answers = [prompt.answer for prompt in allowed.prompts if prompt.answer]
    horizon = max([behavior.horizon, *(len(model.reply_ids(answer)) + 2 for answer in answers)])
    ids = [model.prompt_ids(prompt.text, behavior.system) for prompt in allowed.prompts]
    rollouts = run(model, [RolloutRequest(prompt, edits, horizon) for prompt in ids])
    readings: dict[str, Reading] = {}
    for prompt, rollout in zip(allowed.prompts, rollouts, strict=True):
        text = model.words(rollout.tokens)
        readings[prompt.id] = allowed.oracle(prompt, text, rollout.ended)
    items: dict[str, Items] = {}
    if allowed.true or behavior.label("unchanged") == "refuse":
        items["over_refusal"] = {name: float(read.unchanged) for name, read in readings.items()}
    if allowed.true:
        items["accuracy"] = {name: float(read.correct) for name, read in readings.items()}
    return items


def kl_per_token(ground: Ground, edits: Edits) -> float:
    """Mean KL(clean || edited) on the generic text's continuations, nats a token."""
    return float(edit_divergences(ground.model, [edits], ground.text.first(TEXTS))[0])


def paired(clean: Mapping[str, float], edited: Mapping[str, float], seed: int = 0) -> Paired:
    """Means without and with, and the mean difference over the items scored in both.

    With its 95 % bootstrap interval over the items; None below two items.
    """
    both = [name for name in clean if name in edited]
    difference = low = high = None
    if len(both) > 1:
        changes = [edited[name] - clean[name] for name in both]
        difference, low, high, _ = cluster_bootstrap(changes, both, seed)
    return Paired(
        clean=mean(clean),
        edited=mean(edited),
        n=len(both),
        unscored=len(clean.keys() ^ edited.keys()),
        difference=difference,
        low=low,
        high=high,
    )


def mean(items: Mapping[str, float] | None) -> float | None:
    """The mean of some items; None without any."""
    return fmean(items.values()) if items else None
