"""The gradient screen of paper C, and the slope of the log-odds that a dose has at first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from fulcra.models import Model
from fulcra.models.coordinate import budgets
from fulcra.screens.objective import Objective, objective_gradients
from fulcra.screens.scores import (
    Clean,
    Contrast,
    Units,
    clean_ground,
    contrast_of,
    in_units,
    ranked,
    require_contrast,
)
from fulcra.types import Behavior, Ranking

#: Paper C looks at the first two thirds of the layers.
LAYER_SHARE = 2 / 3


@dataclass(frozen=True, slots=True)
class GradientForm:
    """Which gradient is taken, and which neurons it may rank.

    prompts: whose gradient, that of the selection split (any behavior) or the sum over both
    contrast sets. opposed: only neurons more active on the undosed side. agreeing: only neurons
    whose gradient and activation gap have one sign.
    """

    objective: Objective = "log_odds"
    prompts: Literal["selection", "contrast"] = "selection"
    opposed: bool = False
    agreeing: bool = False


#: The gradient of any behavior, and the one of paper C.
PLAIN = GradientForm()
PAPER = GradientForm("mass", "contrast", opposed=True, agreeing=True)


def gradient(
    model: Model,
    behavior: Behavior,
    *,
    form: GradientForm = PLAIN,
    units: Units = "raw",
    clean: Clean | None = None,
    layers: Sequence[int] | None = None,
) -> Ranking:
    """Branches by descending |g (a_h - a_H)| after the instruction, on the pole that g favors.

    g is the derivative of the objective by a shift of the activation at the prompt tokens after the
    user's words; a_H and a_h are its means there on the undosed side and on the other. Cost: one
    pass a contrast prompt, one forward and backward pass over the phrases of each prompt.
    """
    require_contrast(behavior, "gradient")
    prompts = [
        model.prompt_ids(prompt.text, behavior.system)
        for prompt in behavior.positive + behavior.negative
    ]
    span = min(map(model.after_instruction, prompts))
    contrast = contrast_of(model, behavior, "gradient", span)
    slopes = _slopes(model, behavior, form, span)
    signed = in_units(model, behavior, slopes * contrast.towards_flip.abs(), units, clean)
    if form.opposed:
        signed = signed.where(_opposed(contrast), torch.nan)
    if form.agreeing:
        signed = signed.where(slopes * contrast.towards_flip > 0, torch.nan)
    return ranked("gradient", model, signed, layers)


def _slopes(model: Model, behavior: Behavior, form: GradientForm, span: int) -> Tensor:
    """The gradient of the objective, summed over the prompt sets of `form`, [layer, d_mlp]."""
    both = (behavior.positive, behavior.negative)
    sides = (behavior.selection,) if form.prompts == "selection" else both
    slopes = [objective_gradients(model, behavior, side, form.objective, span)[1] for side in sides]
    return torch.stack(slopes).sum(0)


def _opposed(contrast: Contrast) -> Tensor:
    shown, other = (contrast.positive, contrast.negative)[:: contrast.side]
    return shown.abs() > other.abs()


def gradient_paper(
    model: Model, behavior: Behavior, *, units: Units = "raw", clean: Clean | None = None
) -> Ranking:
    """The ranking of paper C's own form of the gradient: its objective, filters and layers.

    Both contrast sets, the mass of the refusal phrases, the first two thirds of the layers.
    """
    layers = range(max(1, round(LAYER_SHARE * model.n_layers)))
    paper = gradient(model, behavior, form=PAPER, units=units, clean=clean, layers=layers)
    return replace(paper, screen="gradient_paper")


def slope(
    model: Model,
    behavior: Behavior,
    *,
    clean: Clean | None = None,
    layers: Sequence[int] | None = None,
) -> Ranking:
    """Branches by descending |dL/dg|, the log-odds' derivative by the gain of a dose [nats a gain].

    The dose at the last prompt token; dL/dg = B dL/dh: the fairest first-order forecast of what an
    additive dose does.
    """
    gradients = objective_gradients(model, behavior, behavior.selection)[1]
    scale = budgets(model, (clean or clean_ground(model, behavior)).stream)
    return ranked("slope", model, torch.where(scale.isinf(), 0.0, gradients * scale), layers)
