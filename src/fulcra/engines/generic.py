"""Generic text: openings continued by the audited model itself, on which |r|, c0 and KL stand."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from fulcra.engines.engine import run
from fulcra.errors import InputError
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
        return hashlib.sha256(
            json.dumps([self.prompts, self.replies], separators=(",", ":")).encode()
        ).hexdigest()

    def first(self, count: int) -> "GenericText":
        """The first `count` texts, in order; all where there are fewer."""
        return GenericText(self.prompts[:count], self.replies[:count])


def continue_openings(
    model: Model,
    openings: Sequence[str],
    seed: int,
    system: str | None = None,
    tokens: int = TOKENS,
) -> GenericText:
    """Generic text from `openings`, sampled at temperature .8, `tokens` tokens at most.

    Chat-templated where there is a template. Openings whose reply is empty are left out; InputError
    where one is not finite. Cost: one rollout an opening.
    """
    prompts = [model.prompt_ids(opening, system) for opening in openings]
    requests = [
        RolloutRequest(p, (), tokens, Sampling(TEMPERATURE, seed).of_row(i))
        for i, p in enumerate(prompts)
    ]
    rollouts = run(model, requests)
    if broken := sum(not rollout.finite for rollout in rollouts):
        raise InputError(
            f"generic text: {broken} of {len(rollouts)} undosed replies of {model.name} in"
            f" {str(model.dtype).removeprefix('torch.')} met numbers that are not finite; load it"
            " in float32"
        )
    pairs = [(p, r.tokens) for p, r in zip(prompts, rollouts, strict=True) if r.tokens]
    return GenericText(tuple(p for p, _ in pairs), tuple(t for _, t in pairs))
