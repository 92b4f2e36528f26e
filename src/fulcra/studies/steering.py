"""One prompt with and without a recipe: how large its doses are there, and both texts as they
grow.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch

from fulcra.engines.local import spoken
from fulcra.errors import BehaviorError
from fulcra.judges.outcome import judge_rollout
from fulcra.models import Model
from fulcra.models.anchors import at_prompts, neuron_activations
from fulcra.protocol import Told, told
from fulcra.protocol.subject import opening_forgiven, prepare, surprises
from fulcra.studies.recipe import Recipe
from fulcra.types import (
    Behavior,
    Direction,
    Edit,
    Neuron,
    Prompt,
    Rollout,
    RolloutRequest,
    Sampling,
)


class Pair(NamedTuple):
    """The same prompt undosed and dosed."""

    undosed: Rollout
    dosed: Rollout


class Dose(NamedTuple):
    """How large one edit is on one prompt, in gains along `branch`: median and 5-95 % range over
    its positions but the first.

    `ceiling` is the predicted one of that branch; None for gain and ceiling where no window was
    predicted.
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


def doses(model: Model, recipe: Recipe, prompt: tuple[int, ...]) -> list[Dose]:
    """The doses of a recipe on one prompt, from its clean activations; a direction ablated or added
    at MLPs has no gain.
    """
    (edits,) = at_prompts(model, [recipe.edits], [prompt])
    return [_dose(model, recipe, edit, prompt) for edit in edits]


def _dose(model: Model, recipe: Recipe, edit: Edit, prompt: tuple[int, ...]) -> Dose:
    alphas = _alphas(model, edit, prompt)
    branch = edit.site
    if isinstance(branch, Neuron):
        branch = Neuron(
            branch.layer,
            branch.index,
            1 if alphas is None or float(alphas.median()) >= 0 else -1,
            branch.expert,
        )
    window = recipe.window(str(branch))
    if window is None or alphas is None:
        return Dose(str(edit), str(branch), None, None, None, None)
    gains = alphas * branch.pole / window.budget
    low, median, high = gains.quantile(gains.new_tensor([0.05, 0.5, 0.95])).tolist()
    return Dose(str(edit), str(branch), median, low, high, window.ceiling.gain)


def _alphas(model: Model, edit: Edit, prompt: tuple[int, ...]) -> torch.Tensor | None:
    """What an edit adds at each position of the prompt but the first, in activation units or
    multiples of its vector.
    """
    if isinstance(edit.site, Direction):
        return torch.full((1,), edit.value) if edit.op == "add_vector" else None
    if edit.op == "add":
        return torch.full((1,), edit.value)
    natural = neuron_activations(
        model, [edit.site], input_ids=torch.tensor([prompt], device=model.device)
    )[0, 1:, 0].cpu()
    return (edit.value - 1) * natural if edit.op == "scale" else edit.value - natural


def steered(
    model: Model,
    recipe: Recipe,
    prompt: tuple[int, ...],
    tokens: int,
    sampling: Sampling = Sampling(),
) -> Iterator[Pair]:
    """Both texts as they grow, a token at a time, decoded together; the edits are in force until
    the last pair.
    """
    requests = [RolloutRequest(prompt, edits, tokens, sampling) for edits in ((), recipe.edits)]
    for undosed, dosed in spoken(model, requests):
        yield Pair(undosed, dosed)


class Reply(NamedTuple):
    """One finished text as it may be told: `outcome` is the behavior's label where the behavior can
    read this prompt.
    """

    told: Told
    tokens: int
    ended: bool
    outcome: str | None


def replies(
    model: Model, recipe: Recipe, behavior: Behavior | None, prompt: str, pair: Pair, seed: int = 0
) -> list[Reply]:
    """Both texts with their typed outcomes; where the behavior is sensitive, without the texts
    themselves.
    """
    sensitive = recipe.sensitive or (behavior is not None and behavior.sensitive)
    outcomes = [None, None] if behavior is None else _outcomes(model, behavior, prompt, pair, seed)
    return [
        Reply(
            told(model.words(rollout.tokens), sensitive, recipe.sha256),
            len(rollout.tokens),
            rollout.ended,
            outcome,
        )
        for rollout, outcome in zip(pair, outcomes, strict=True)
    ]


def _outcomes(
    model: Model, behavior: Behavior, text: str, pair: Pair, seed: int
) -> list[str | None]:
    """The outcomes of both texts; None where the behavior's oracle reads its own prompts only and
    this is none of them.
    """
    own = next(
        (one for one in (*behavior.selection, *behavior.confirmation) if one.text == text), None
    )
    prompt = own or Prompt("steer", text)
    ground, ids = prepare(model, behavior, seed), model.prompt_ids(text, behavior.system)
    openings, found = [model.reply_ids(words) for words in prompt.target_openings], []
    for rollout in pair:
        surprise = surprises(ground.reference, [(ids, rollout.tokens)])[0] if rollout.tokens else []
        forgiven = opening_forgiven(surprise, rollout.tokens, openings)
        try:
            said = judge_rollout(
                behavior, prompt, rollout, model.words(rollout.tokens), forgiven, ground.standard
            )
        except BehaviorError:
            return [None, None]
        found.append(behavior.label(said.outcome))
    return list(found)
