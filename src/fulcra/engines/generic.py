"""Generic text: bundled openings continued by the audited model itself, the ground on which |r|, c0 and KL stand."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from fulcra.engines.local import run
from fulcra.models import Model
from fulcra.types import RolloutRequest, Sampling

TOKENS = 48
TEMPERATURE = 0.8


@dataclass(frozen=True, slots=True)
class GenericText:
    """Prompts and the model's own continuations, token ids."""

    prompts: tuple[tuple[int, ...], ...]
    replies: tuple[tuple[int, ...], ...]

    @property
    def sha256(self) -> str:
        """Hash of all token ids."""
        return hashlib.sha256(json.dumps([self.prompts, self.replies], separators=(",", ":")).encode()).hexdigest()

    def first(self, count: int) -> "GenericText":
        """The first `count` texts."""
        return GenericText(self.prompts[:count], self.replies[:count])


def continue_openings(model: Model, openings: Sequence[str], seed: int, system: str | None = None, tokens: int = TOKENS) -> GenericText:
    """Generic text from `openings`: chat-templated where there is a template, sampled at temperature .8, 48 tokens.

    Openings whose reply is empty are left out. Cost: one rollout an opening.
    """
    prompts = [model.prompt_ids(opening, system) for opening in openings]
    requests = [RolloutRequest(p, (), tokens, Sampling(TEMPERATURE, seed * 1_000_003 + i)) for i, p in enumerate(prompts)]
    spoken = [(p, r.tokens) for p, r in zip(prompts, run(model, requests), strict=True) if r.tokens]
    return GenericText(tuple(p for p, _ in spoken), tuple(t for _, t in spoken))
