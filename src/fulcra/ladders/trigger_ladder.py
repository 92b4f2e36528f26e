"""The trigger forecast from log-odds: the gain at which target openings outweigh control openings (LAW.md section 4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fulcra.errors import BehaviorError
from fulcra.formulas.divergence import log_odds
from fulcra.formulas.intervals import crossing
from fulcra.ladders.passes import dosed_logits
from fulcra.models import Model
from fulcra.models.capture import padded
from fulcra.models.coordinate import Coordinate
from fulcra.types import Edge, Edit, Prompt

GAINS = (0.1, 0.15, 0.2, 0.3, 0.45, 0.65, 0.9, 1.2, 1.7, 2.4)
#: An opening counts by its first tokens; those after them repeat the prompt.
OPENING_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Openings:
    """Teacher-forced openings of some prompts as one batch: ids, mask, reply [row, pos]; whose they are, which side."""

    ids: Tensor
    mask: Tensor
    reply: Tensor
    prompt: Tensor
    target: Tensor

    @classmethod
    def of(cls, model: Model, prompts: Sequence[Prompt], system: str | None = None) -> "Openings":
        """The openings of `prompts`; BehaviorError where a prompt has none on one side, or one without tokens."""
        rows, spans, whose, target = [], [], [], []
        for i, prompt in enumerate(prompts):
            ids = model.prompt_ids(prompt.text, system)
            for side, openings in ((True, prompt.target_openings), (False, prompt.control_openings)):
                if not openings:
                    raise BehaviorError(f"prompt {prompt.id}: no {'target' if side else 'control'} openings; the trigger forecast needs both sides")
                for opening in openings:
                    reply = model.reply_ids(opening)[:OPENING_TOKENS]
                    if not reply:
                        raise BehaviorError(f"prompt {prompt.id}: the opening {opening!r} has no tokens in {model.name}; give words")
                    rows.append(ids + reply)
                    spans.append((len(ids) - 1, len(reply)))
                    whose.append(i)
                    target.append(side)
        ids_tensor, mask = padded(rows, model.device)
        where = torch.zeros(ids_tensor.shape, dtype=torch.bool)
        for row, (start, length) in enumerate(spans):
            where[row, start : start + length] = True
        return cls(ids_tensor, mask, where.to(model.device), torch.tensor(whose), torch.tensor(target))

    def odds(self, logits: Tensor) -> Tensor:
        """Log-odds (nats) of target against control openings, [..., prompt], from logits [..., row, pos, vocab]."""
        span = self.reply.any(0)
        span[-1] = False
        after = self.ids[:, 1:][:, span[:-1]]
        chosen = logits[..., span, :].float().log_softmax(-1)
        tokens = chosen.gather(-1, after.expand(chosen.shape[:-1])[..., None])[..., 0]
        total = (tokens * self.reply[:, span]).sum(-1).cpu()
        sides = []
        for side in (True, False):
            picked = [total[..., (self.prompt == i) & (self.target == side)].logsumexp(-1) for i in range(int(self.prompt.max()) + 1)]
            sides.append(torch.stack(picked, -1))
        return log_odds(*sides)


def opening_odds(model: Model, openings: Openings, doses: Sequence[Edit]) -> Tensor:
    """Log-odds of target against control openings under each dose, nats, [dose, prompt]."""
    return torch.cat([openings.odds(logits) for _, logits in dosed_logits(model, openings.ids, openings.mask, doses)])


def clean_odds(model: Model, openings: Openings) -> Tensor:
    """Undosed log-odds of target against control openings, nats, [prompt]."""
    with torch.no_grad():
        return openings.odds(model.hf(input_ids=openings.ids, attention_mask=openings.mask, use_cache=False).logits)


def trigger_ladder(model: Model, branches: Sequence[Coordinate], openings: Openings, gains: Sequence[float] = GAINS) -> list[Edge]:
    """The forecast trigger of each branch: where the prompt mean of the log-odds crosses 0; censored where it does not.

    Tier 2: dosed teacher-forced passes, nothing generated. Cost: len(branches) x len(gains) passes over the openings.
    """
    odds = opening_odds(model, openings, [branch.dose(gain) for branch in branches for gain in gains])
    means = odds.mean(-1).unflatten(0, (len(branches), len(gains))).tolist()
    return [branch.edge(crossing(gains, row, 0.0), "trigger_ladder", 2) for branch, row in zip(branches, means, strict=True)]
