"""What every screen shares: scores of all neurons become a ranking, raw or in gain units."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor

from fulcra.engines.generic import GenericText, continue_openings
from fulcra.errors import BehaviorError, InputError
from fulcra.models import Model
from fulcra.models.activations import mean_activations
from fulcra.models.capture import Stream, stream
from fulcra.models.coordinate import budgets
from fulcra.types import Behavior, Ranking

Units = Literal["raw", "gain"]


class Clean(NamedTuple):
    """Generic text of the model's own and its clean stream: what gains are measured on.

    `extent` [layer, d_mlp] is the largest natural |activation| where it is measured already.
    """

    text: GenericText
    stream: Stream
    extent: Tensor | None = None


class Screen(Protocol):
    """One method: who is worth measuring."""

    def __call__(self, model: Model, behavior: Behavior) -> Ranking: ...


def clean_ground(model: Model, behavior: Behavior, seed: int = 0) -> Clean:
    """The generic openings continued by the model, and its clean stream over them.

    Cost: one rollout and one pass an opening.
    """
    text = continue_openings(model, behavior.generic, seed, behavior.system)
    return Clean(text, stream(model, text.prompts, text.replies))


def ranked(
    name: str,
    model: Model,
    signed: Tensor,
    layers: Sequence[int] | None = None,
    top_k: int | None = None,
) -> Ranking:
    """Every neuron once by descending |signed|, on the pole of its sign.

    `signed` [layer, d_mlp]; nan leaves a neuron out.
    """
    outside = [layer for layer in layers or () if not 0 <= layer < model.n_layers]
    if outside or (top_k is not None and top_k < 1):
        raise InputError(
            f"{name}: got layers {outside or 'all'} and top_k {top_k}; {model.name} has layers"
            f" 0-{model.n_layers - 1}, top_k is 1 or more"
        )
    wanted = range(model.n_layers) if layers is None else layers
    listed = torch.zeros(signed.shape, dtype=torch.bool)
    for layer in wanted:
        listed[layer, : model.width(layer)] = True
    flat = signed.float().where(listed, torch.nan).flatten()
    order = flat.abs().nan_to_num(nan=-1.0).argsort(descending=True, stable=True)
    order = order[: int(flat.isfinite().sum())][:top_k]
    branches = tuple(
        model.neuron(i // model.d_mlp, i % model.d_mlp, -1 if flat[i] < 0 else 1)
        for i in order.tolist()
    )
    return Ranking(name, branches, tuple(flat[order].abs().tolist()))


def in_units(
    model: Model, behavior: Behavior, signed: Tensor, units: Units, clean: Clean | None
) -> Tensor:
    """The scores as they are, or over each neuron's budget B (law.md section 7).

    0 for a neuron that moves nothing. InputError for other units.
    """
    if units not in get_args(Units):
        raise InputError(f"units {units!r}: scores are in 'raw' units or in 'gain' units; name one")
    if units == "raw":
        return signed
    return gain_units(model, (clean or clean_ground(model, behavior)).stream, signed)


def gain_units(model: Model, clean: Stream, scores: Tensor) -> Tensor:
    """Scores [layer, d_mlp] over each neuron's budget, which evens out the stream's length."""
    return scores / budgets(model, clean)


def require_contrast(behavior: Behavior, screen: str) -> None:
    """BehaviorError unless there are two different sets of prompts to tell apart."""
    if not behavior.positive or not behavior.negative:
        raise BehaviorError(
            f"behavior {behavior.name}: the {screen} screen needs positive and negative prompts;"
            " give both"
        )
    if {prompt.text for prompt in behavior.positive} == {
        prompt.text for prompt in behavior.negative
    }:
        raise BehaviorError(
            f"behavior {behavior.name}: positive and negative hold the same prompts, and every"
            " difference is 0; give two sets"
        )


class Contrast(NamedTuple):
    """Mean activations on positives and negatives, [layer, d_mlp], and the undosed side.

    The side is +1 for positive.
    """

    positive: Tensor
    negative: Tensor
    side: int

    @property
    def towards_flip(self) -> Tensor:
        """The difference of the two means, from the undosed side to the other."""
        return self.side * (self.negative - self.positive)


def contrast_of(model: Model, behavior: Behavior, screen: str, span: int = 1) -> Contrast:
    """The contrast over the last `span` prompt tokens; one clean pass a prompt, nothing stored.

    Positives may be prompts that show the behavior (refused ones) or ones whose reply is the
    flipped one: the side is where the mean of the selection prompts, which are not flipped undosed,
    lies between the two. InputError names the first neuron whose activation is not a finite number.
    """
    require_contrast(behavior, screen)
    sets = (behavior.positive, behavior.negative, behavior.selection or behavior.positive)
    ids = ([model.prompt_ids(prompt.text, behavior.system) for prompt in side] for side in sets)
    positive, negative, undosed = (mean_activations(model, side, span) for side in ids)
    along = ((undosed - (positive + negative) / 2) * (positive - negative)).sum()
    return Contrast(positive, negative, 1 if along >= 0 else -1)
