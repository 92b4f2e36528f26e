"""Windows of a model's own text, clean or dosed, and the openings that text begins with."""

import hashlib
import math
import random
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.behaviors.domains import CODE, FRENCH, LONG
from fulcra.behaviors.generic import OPENINGS
from fulcra.engines.engine import run
from fulcra.engines.generic import TEMPERATURE
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.applying import applied_rows
from fulcra.models.batches import batches
from fulcra.models.read_hooks import block_outputs
from fulcra.models.watching import Windows, units_of
from fulcra.types import Behavior, Edits, RolloutRequest, Sampling

#: Positions of a window.
WINDOW = 64
#: Texts that are rolled out together, and rows of one pass over them.
TEXTS, ROWS = 96, 32
#: Batches of texts without any new token, after which the model is said to be silent.
SILENT = 4
#: The fewest openings that are parted into those of the fit, of the threshold and of the trial.
LEAST_OPENINGS = 10

#: The kinds of bundled requests that a calibration without a behavior stands on.
KINDS = {"generic": OPENINGS, "code": CODE, "French": FRENCH, "long text": LONG}

Pairs = list[tuple[tuple[int, ...], tuple[int, ...]]]


class Openings(NamedTuple):
    """Openings of clean text in three disjoint parts, drawn by the hash of each."""

    fit: tuple[str, ...]
    threshold: tuple[str, ...]
    trial: tuple[str, ...]

    @classmethod
    def of(cls, behavior: Behavior | None) -> "Openings":
        """Those of a behavior, all contrast prompts among them, else the bundled ones of all kinds.

        InputError where there are too few.
        """
        if behavior is None:
            kinds = [parted(kind) for kind in KINDS.values()]
            return cls(*(sum((kind[i] for kind in kinds), ()) for i in range(len(cls._fields))))
        further = behavior.discovery
        sides = (behavior.positive, behavior.negative, further.positive, further.negative)
        prompts = [prompt.text for side in sides for prompt in side]
        texts = {*behavior.generic, *behavior.ceiling_generic, *prompts}
        if len(texts) < LEAST_OPENINGS:
            raise InputError(
                f"monitor: {len(texts)} openings of generic text, expected {LEAST_OPENINGS} or"
                " more; name a behavior with more prompts"
            )
        return parted(tuple(texts))

    @property
    def sha256(self) -> str:
        """Hash of the openings of all three parts."""
        return hashlib.sha256("\0".join("\n".join(part) for part in self).encode()).hexdigest()


def parted(texts: tuple[str, ...]) -> Openings:
    """Openings of one kind in the three parts, two fifths, three tenths and three tenths."""
    drawn = sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())
    first, second = round(0.4 * len(drawn)), round(0.7 * len(drawn))
    return Openings(tuple(drawn[:first]), tuple(drawn[first:second]), tuple(drawn[second:]))


class Traffic(NamedTuple):
    """Requests a model gets: openings to draw from, their system prompt, tokens of a reply."""

    openings: tuple[str, ...]
    system: str | None = None
    tokens: int = WINDOW

    def replies(self, model: Model, edits: Edits, draw: random.Random, count: int) -> Pairs:
        """Prompts and the model's replies to `count` drawn openings, sampled at temperature .8."""
        drawn = [(draw.choice(self.openings), draw.randrange(1 << 30)) for _ in range(count)]
        prompts = [model.prompt_ids(text, self.system) for text, _ in drawn]
        requests = [
            RolloutRequest(
                prompt,
                edits,
                min(self.tokens, model.context - len(prompt)),
                Sampling(TEMPERATURE, seed),
            )
            for prompt, (_, seed) in zip(prompts, drawn, strict=True)
        ]
        rollouts = run(model, requests)
        if broken := sum(not rollout.finite for rollout in rollouts):
            raise InputError(
                f"monitor: {broken} of {len(rollouts)} replies of {model.name} met numbers that are"
                " not finite; load it in float32"
            )
        both = zip(requests, rollouts, strict=True)
        return [(request.prompt, rollout.tokens) for request, rollout in both if rollout.tokens]


class Clean(NamedTuple):
    """Windows [window, layer, d_model] with the prompts and replies that they were read on."""

    windows: Tensor
    pairs: Pairs


def rolled_windows(
    model: Model, traffic: Traffic, count: int, seed: int, edits: Edits = ()
) -> Clean:
    """`count` windows of replies under `edits`; replies follow one another until each is full.

    InputError where the model stays silent. Cost: one rollout and one pass a reply.
    """
    draw, filled, silent = random.Random(seed), Windows(model, WINDOW), 0
    pairs: Pairs = []
    while len(filled.complete) < count:
        missing = (count - len(filled.complete)) * WINDOW
        each = filled.tokens / len(pairs) if pairs else traffic.tokens
        texts = traffic.replies(model, edits, draw, min(TEXTS, math.ceil(missing / each) + 1))
        silent = 0 if texts else silent + 1
        if silent >= SILENT:
            raise InputError(
                f"monitor: {model.name} ends every reply at once; name a behavior with prompts that"
                " it answers"
            )
        read_replies(filled, texts, applied_rows(model, edits, every_row=True))
        pairs += texts
    return Clean(torch.stack([mean for _, mean in filled.complete[:count]]).cpu(), pairs)


def read_windows(
    model: Model, pairs: Pairs, dosed: AbstractContextManager[object] | None = None
) -> Tensor:
    """Windows of replies as they stand, [window, layer, d_model], read under a dose or without.

    Cost: one pass a reply.
    """
    filled = Windows(model, WINDOW)
    read_replies(filled, pairs, dosed or nullcontext())
    return torch.stack([mean for _, mean in filled.complete]).cpu()


@torch.no_grad()
def read_replies(filled: Windows, pairs: Pairs, dosed: AbstractContextManager[object]) -> None:
    """Put the stream of every reply, in their order, into windows of one row."""
    model, texts = filled.model, [prompt + reply for prompt, reply in pairs]
    with dosed:
        for part in batches(model, texts, ROWS):
            with block_outputs(model) as outputs:
                model.hf(**part.inputs, use_cache=False, logits_to_keep=1)
            units = units_of(model, [outputs[layer] for layer in range(model.n_layers)])
            for row, (prompt, reply) in enumerate(pairs[part.rows]):
                filled.add(0, units[row, len(prompt) : len(prompt) + len(reply)])
