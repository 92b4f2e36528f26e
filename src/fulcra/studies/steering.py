"""One prompt with and without a recipe: how large its doses are there, and both texts growing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from fulcra.engines.local import spoken
from fulcra.errors import BehaviorError
from fulcra.judges.outcome import judge_rollout
from fulcra.models import Model
from fulcra.models.anchors import at_prompts, neuron_activations
from fulcra.protocol.redaction import Told, told
from fulcra.protocol.subject import Subject, opening_forgiven, surprises
from fulcra.studies.recipe import Recipe
from fulcra.types import (
    OUTCOMES,
    Behavior,
    Direction,
    Edit,
    Neuron,
    Prompt,
    Rollout,
    RolloutRequest,
    Sampling,
)


class TextPair(NamedTuple):
    """The same prompt undosed and dosed."""

    undosed: Rollout
    dosed: Rollout


class PromptDose(NamedTuple):
    """How large one edit is on one prompt, in gains along `branch`.

    `gain` is the median over positions but the first, `low` to `high` their 5-95 % range, `ceiling`
    the predicted one of the branch; all None where no window was predicted.
    """

    edit: str
    branch: str
    gain: float | None
    low: float | None
    high: float | None
    ceiling: float | None

    @property
    def beyond(self) -> bool:
        """Whether the dose lies beyond the predicted ceiling."""
        return self.gain is not None and self.ceiling is not None and self.gain > self.ceiling


def doses(model: Model, recipe: Recipe, prompt: tuple[int, ...]) -> list[PromptDose]:
    """The doses of a recipe on one prompt, from its clean activations.

    A direction that is ablated or added at MLPs has no gain.
    """
    (edits,) = at_prompts(model, [recipe.edits], [prompt])
    return [_dose(model, recipe, edit, prompt) for edit in edits]


def _dose(model: Model, recipe: Recipe, edit: Edit, prompt: tuple[int, ...]) -> PromptDose:
    alphas, branch = _alphas(model, edit, prompt), edit.site
    if isinstance(branch, Neuron):
        up = alphas is None or float(alphas.median()) >= 0
        branch = replace(branch, pole=1 if up else -1)
    window = recipe.window(str(branch))
    if window is None or alphas is None:
        return PromptDose(str(edit), str(branch), None, None, None, None)
    gains = alphas * branch.pole / window.budget
    low, median, high = gains.quantile(gains.new_tensor([0.05, 0.5, 0.95])).tolist()
    return PromptDose(str(edit), str(branch), median, low, high, window.ceiling.gain)


def _alphas(model: Model, edit: Edit, prompt: tuple[int, ...]) -> torch.Tensor | None:
    """What an edit adds at each position of the prompt but the first, [pos].

    In activation units, for a direction in multiples of its vector.
    """
    if isinstance(edit.site, Direction):
        return torch.full((1,), edit.value) if edit.op == "add_vector" else None
    if edit.op == "add":
        return torch.full((1,), edit.value)
    ids = torch.tensor([prompt], device=model.device)
    natural = neuron_activations(model, [edit.site], input_ids=ids)[0, 1:, 0].cpu()
    return (edit.value - 1) * natural if edit.op == "scale" else edit.value - natural


def steered(
    model: Model,
    recipe: Recipe,
    prompt: tuple[int, ...],
    tokens: int,
    sampling: Sampling = Sampling(),
) -> Iterator[TextPair]:
    """Both texts as they grow, a token at a time, decoded together.

    The edits are in force until the last pair.
    """
    requests = [RolloutRequest(prompt, edits, tokens, sampling) for edits in ((), recipe.edits)]
    for undosed, dosed in spoken(model, requests):
        yield TextPair(undosed, dosed)


class SteeredReply(NamedTuple):
    """One finished text as it may be told.

    `outcome` is the behavior's label where the behavior can read this prompt.
    """

    told: Told
    tokens: int
    ended: bool
    outcome: str | None


def replies(
    model: Model,
    recipe: Recipe,
    behavior: Behavior | None,
    prompt: str,
    pair: TextPair,
    seed: int = 0,
) -> list[SteeredReply]:
    """Both texts with their typed outcomes; of a sensitive behavior without the texts."""
    sensitive = recipe.sensitive or (behavior is not None and behavior.sensitive)
    labels: list[str | None] = [None, None]
    if behavior is not None:
        labels = _judged(Subject.of(model, behavior, seed), prompt, pair)
    shown = []
    for rollout, outcome in zip(pair, labels, strict=True):
        words = told(model.words(rollout.tokens), sensitive, recipe.sha256)
        shown.append(SteeredReply(words, len(rollout.tokens), rollout.ended, outcome))
    return shown


def _judged(subject: Subject, text: str, pair: TextPair) -> list[str | None]:
    ids = subject.prompt_ids(text)
    nats = surprises(subject.ground.reference, [(ids, rollout.tokens) for rollout in pair])
    return outcomes(subject, text, pair, nats)


def outcomes(
    subject: Subject, text: str, rollouts: Sequence[Rollout], nats: Sequence[Sequence[float]]
) -> list[str | None]:
    """The typed outcomes of replies to one prompt, by the labels of the behavior.

    `nats` is the surprise of each reply under the reference of the ground. None where the oracle
    cannot read a prompt that is not its own.
    """
    model, behavior = subject.model, subject.behavior
    prompts = (*behavior.selection, *behavior.confirmation)
    own = (prompt for prompt in prompts if prompt.text == text)
    prompt, standard = next(own, Prompt("steer", text)), subject.ground.standard
    openings = [model.reply_ids(words) for words in prompt.target_openings]
    labels = {str(outcome): behavior.label(outcome) for outcome in OUTCOMES}
    typed: list[str | None] = []
    for rollout, surprise in zip(rollouts, nats, strict=True):
        forgiven = opening_forgiven(surprise, rollout.tokens, openings)
        words = model.words(rollout.tokens)
        try:
            judgement = judge_rollout(behavior, prompt, rollout, words, forgiven, standard)
        except BehaviorError:
            return [None for _ in rollouts]
        typed.append(labels[judgement.outcome])
    return typed
