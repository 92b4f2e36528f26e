"""The trigger forecast: where target openings outweigh control openings (law.md section 4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fulcra.errors import BehaviorError
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.divergence import log_odds
from fulcra.ladders.passes import Texts, clean_vectors, dosed_vectors
from fulcra.ladders.search import first_crossings
from fulcra.models import Model
from fulcra.models.unembedding import chosen_log_probs
from fulcra.types import Edge, Edit, Prompt

TRIGGER_GAINS = (0.1, 0.15, 0.2, 0.3, 0.45, 0.65, 0.9, 1.2, 1.7, 2.4)
#: An opening counts by its first tokens; those after them repeat the prompt.
OPENING_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Openings:
    """Teacher-forced openings of some prompts as one batch.

    prompt [text]: whose opening it is; target [text]: whether it stands for the flip.
    """

    texts: Texts
    prompt: Tensor
    target: Tensor

    @classmethod
    def of(cls, model: Model, prompts: Sequence[Prompt], system: str | None = None) -> "Openings":
        """The openings of `prompts`.

        BehaviorError where a prompt has none on one side, or one without tokens.
        """
        ids = [model.prompt_ids(prompt.text, system) for prompt in prompts]
        replies, whose, target = [], [], []
        for i, prompt in enumerate(prompts):
            for side, opening in _sides(prompt):
                replies.append(_tokens(model, prompt, opening))
                whose.append(i)
                target.append(side)
        texts = Texts.of_pairs(model, [ids[i] for i in whose], replies)
        return cls(texts, torch.tensor(whose), torch.tensor(target))

    def odds(self, logits: Tensor) -> Tensor:
        """Log-odds (nats) of target against control openings, [..., prompt].

        logits [..., text, token, vocab] foresee the openings' tokens.
        """
        return log_odds(*self.log_masses(logits))

    def log_masses(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the target and of the control openings, [..., prompt]; on the CPU.

        Those of a prompt's openings on one side are summed as probabilities.
        """
        tokens = logits[..., self.texts.where, :].float().log_softmax(-1)
        after = self.texts.after[self.texts.where]
        return self.masses(tokens.gather(-1, after.expand(tokens.shape[:-1])[..., None])[..., 0])

    def masses(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """The same from the log-probability of every real token of the openings, [..., token]."""
        text = self.texts.where.nonzero()[:, 0].expand(chosen.shape)
        total = chosen.new_zeros(*chosen.shape[:-1], len(self.texts.of))
        total = total.scatter_add(-1, text, chosen).cpu()
        return self._summed(total, True), self._summed(total, False)

    def _summed(self, total: Tensor, side: bool) -> Tensor:
        picked = [
            total[..., (self.prompt == i) & (self.target == side)].logsumexp(-1)
            for i in range(int(self.prompt.max()) + 1)
        ]
        return torch.stack(picked, -1)


def _sides(prompt: Prompt) -> list[tuple[bool, str]]:
    """(whether it is a target, opening) of a prompt; BehaviorError where one side has none."""
    sides = ((True, prompt.target_openings), (False, prompt.control_openings))
    for target, openings in sides:
        if not openings:
            raise BehaviorError(
                f"prompt {prompt.id}: no {'target' if target else 'control'} openings; the trigger"
                " forecast needs both sides"
            )
    return [(target, opening) for target, openings in sides for opening in openings]


def _tokens(model: Model, prompt: Prompt, opening: str) -> tuple[int, ...]:
    """The first tokens of an opening; BehaviorError where it has none."""
    tokens = model.reply_ids(opening)[:OPENING_TOKENS]
    if not tokens:
        raise BehaviorError(
            f"prompt {prompt.id}: the opening {opening!r} has no tokens in {model.name}; give words"
        )
    return tokens


def opening_odds(model: Model, openings: Openings, doses: Sequence[Edit]) -> Tensor:
    """Log-odds of target against control openings under each dose, nats, [dose, prompt]."""
    out = torch.empty(len(doses), int(openings.prompt.max()) + 1)
    for places, vectors in dosed_vectors(model, openings.texts, doses):
        out[places] = _odds(model, openings, vectors)
    return out


def clean_odds(model: Model, openings: Openings) -> Tensor:
    """Undosed log-odds of target against control openings, nats, [prompt]."""
    return _odds(model, openings, clean_vectors(model, openings.texts))


def _odds(model: Model, openings: Openings, vectors: Tensor) -> Tensor:
    """Log-odds from the final vectors that foresee the openings, [..., token, d_model]."""
    tokens = openings.texts.after[openings.texts.where].expand(vectors.shape[:-1])
    chosen = chosen_log_probs(model, vectors.flatten(0, -2), tokens.flatten())
    return log_odds(*openings.masses(chosen.view(vectors.shape[:-1])))


def trigger_ladder(
    model: Model,
    branches: Sequence[Coordinate],
    openings: Openings,
    gains: Sequence[float] = TRIGGER_GAINS,
) -> list[Edge]:
    """The forecast trigger of each branch: where the prompt mean of the log-odds first crosses 0.

    Tier 2: dosed teacher-forced passes, nothing generated. Log-odds fall back where text collapses,
    so the ladder is climbed from below (`first_crossings`). Cost: at most len(branches) x
    len(gains) passes over the openings, each from the dosed layer upwards.
    """

    def measure(pairs: Sequence[tuple[int, int]]) -> list[float]:
        doses = [branches[b].dose(gains[rung]) for b, rung in pairs]
        odds: list[float] = opening_odds(model, openings, doses).mean(-1).tolist()
        return odds

    rungs = [branch.rungs(gains) for branch in branches]
    edges = first_crossings(measure, rungs, gains, 0.0)
    return [
        branch.edge(gain, "trigger_ladder", 2) for branch, gain in zip(branches, edges, strict=True)
    ]
