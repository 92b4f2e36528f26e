"""The scalar that gradient screens differentiate: how far the reply leans to the flip."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, final

import torch
from torch import Tensor

from fulcra.errors import BehaviorError
from fulcra.ladders.trigger_ladder import Openings
from fulcra.models import Model
from fulcra.models.gradients import neuron_gradients
from fulcra.models.prefixes import Prefixed, Rows
from fulcra.types import Behavior, Prompt

#: log_odds: target against control openings. mass: -log(p / (1 - p)), p the mass of the control
#: phrases (paper C).
Objective = Literal["log_odds", "mass"]
#: p is clamped to 1 - 1e-6 (paper C).
CLAMP = -1e-6
FORWARD_ONLY = "contrastive, concept, geometry, random"
#: Prompts of one pass.
BATCH = 8


def with_phrases(behavior: Behavior, prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """Prompts with openings on both sides: their own, else those that selection prompts share.

    Shared by two selection prompts or more. BehaviorError where there are none: it names the
    screens that run without.
    """
    shared = {
        side: [words for words, n in Counter(_all(behavior, side)).items() if n > 1]
        for side in ("target", "control")
    }
    phrased = []
    for prompt in prompts:
        target, control = (
            prompt.target_openings or tuple(shared["target"]),
            prompt.control_openings or tuple(shared["control"]),
        )
        if not target or not control:
            side = "control" if target else "target"
            raise BehaviorError(
                f"behavior {behavior.name!r}: prompt {prompt.id} has no {side} openings, which the"
                " gradient, dla, dosed_logit and window screens need; give them, or use a screen"
                f" that runs without: {FORWARD_ONLY}"
            )
        phrased.append(replace(prompt, target_openings=target, control_openings=control))
    return tuple(phrased)


def _all(behavior: Behavior, side: str) -> list[str]:
    return [words for prompt in behavior.selection for words in getattr(prompt, f"{side}_openings")]


def objective_gradients(
    model: Model,
    behavior: Behavior,
    prompts: Sequence[Prompt],
    objective: Objective = "log_odds",
    span: int = 1,
) -> tuple[float, Tensor]:
    """The prompt mean of the objective [nats], and its gradient [layer, d_mlp], float32.

    The derivative is by every activation at the last `span` prompt tokens. Cost: one forward and
    backward pass over all phrases of each prompt.
    """
    return Phrases(model, behavior, prompts, span).gradients(objective)


@final
class Phrases:
    """The phrases of some prompts; what stands before the last `span` prompt tokens is read once.

    BehaviorError where a prompt has none on a side.
    """

    def __init__(
        self, model: Model, behavior: Behavior, prompts: Sequence[Prompt], span: int = 1
    ) -> None:
        self.model, self.count = model, len(prompts)
        batches = _batches(model, with_phrases(behavior, prompts), behavior.system, span)
        self.batches = [(openings, Prefixed(model, rows)) for openings, rows in batches]

    def gradients(
        self, objective: Objective = "log_odds", shift: Tensor | None = None
    ) -> tuple[float, Tensor]:
        """The prompt mean of the objective [nats], and its gradient [layer, d_mlp], float32.

        With `shift` added to the activations first, by those of the layers that it moves. Cost: one
        pass over what is not read yet, forward and back to the first of these layers.
        """
        model = self.model
        total, value = torch.zeros(model.n_layers, model.d_mlp), 0.0
        for openings, rows in self.batches:
            lean, gradients = neuron_gradients(rows, partial(_lean, openings, objective), shift)
            value, total = value + lean, total + gradients
        return value / self.count, total / self.count


def _lean(openings: Openings, objective: Objective, logits: Tensor) -> Tensor:
    """The objective, summed over the prompts of a batch."""
    if objective == "log_odds":
        return openings.odds(logits).sum()
    log_p = openings.log_masses(logits)[1].clamp(max=CLAMP)
    return (torch.log(-torch.expm1(log_p)) - log_p).sum()


def _batches(
    model: Model, prompts: Sequence[Prompt], system: str | None, span: int
) -> Iterator[tuple[Openings, Rows]]:
    for start in range(0, len(prompts), BATCH):
        openings = Openings.of(model, prompts[start : start + BATCH], system)
        texts, width = openings.texts, openings.texts.ids.shape[1]
        ids = torch.cat([texts.ids[texts.of], texts.after], 1)
        mask = torch.cat([texts.mask[texts.of], texts.where.long()], 1)
        acts = torch.zeros_like(mask, dtype=torch.bool)
        acts[:, width - span : width] = True
        yield openings, Rows(ids, mask, acts & mask.bool(), slice(width - 1, ids.shape[1] - 1))
