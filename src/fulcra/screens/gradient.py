"""The gradient screen of paper C, and the slope it takes for a forecast: nats a gain, to first
order.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch

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


def gradient(
    model: Model,
    behavior: Behavior,
    *,
    objective: Objective = "log_odds",
    prompts: Literal["selection", "contrast"] = "selection",
    opposed: bool = False,
    agreeing: bool = False,
    units: Units = "raw",
    clean: Clean | None = None,
    layers: Sequence[int] | None = None,
    top_k: int | None = None,
) -> Ranking:
    """Branches by descending |g (a_h - a_H)| at the post-instruction positions, on the pole that g
    favors.

    g is the derivative of the objective by a shift of the activation at those positions; a_H and
    a_h its mean there on the side of the undosed behavior and on the other. prompts: whose
    gradient, the selection split (any behavior) or both contrast sets, g_H + g_h. opposed: only
    neurons with |a_H| > |a_h|. agreeing: only those whose g and a_h - a_H agree. Cost: one pass a
    contrast prompt, one forward and backward pass over the phrases of each prompt.
    """
    require_contrast(behavior, "gradient")
    asked = [
        model.prompt_ids(prompt.text, behavior.system)
        for prompt in behavior.positive + behavior.negative
    ]
    span = min(map(model.after_instruction, asked))
    contrast = contrast_of(model, behavior, "gradient", span)
    sides = (
        (behavior.selection,) if prompts == "selection" else (behavior.positive, behavior.negative)
    )
    slope = torch.stack(
        [objective_gradients(model, behavior, side, objective, span)[1] for side in sides]
    ).sum(0)
    signed = in_units(model, behavior, slope * contrast.towards_flip.abs(), units, clean)
    if opposed:
        signed = signed.where(_opposed(contrast), torch.nan)
    if agreeing:
        signed = signed.where(slope * contrast.towards_flip > 0, torch.nan)
    return ranked("gradient", model, signed, layers, top_k)


def _opposed(contrast: Contrast) -> torch.Tensor:
    shown, other = (contrast.positive, contrast.negative)[:: contrast.side]
    return shown.abs() > other.abs()


def gradient_paper(
    model: Model, behavior: Behavior, *, units: Units = "raw", clean: Clean | None = None
) -> Ranking:
    """The gradient screen as paper C has it: both contrast sets, mass of the refusal phrases, its
    filter, two thirds of the layers.
    """
    layers = range(max(1, round(LAYER_SHARE * model.n_layers)))
    paper = gradient(
        model,
        behavior,
        objective="mass",
        prompts="contrast",
        opposed=True,
        agreeing=True,
        units=units,
        clean=clean,
        layers=layers,
    )
    return replace(paper, screen="gradient_paper")


def slope(
    model: Model,
    behavior: Behavior,
    *,
    clean: Clean | None = None,
    layers: Sequence[int] | None = None,
) -> Ranking:
    """Branches by descending |dL/dg|, the log-odds' derivative by the gain of a dose at the last
    prompt token [nats a gain].

    dL/dg = B dL/dh: the fairest first-order forecast of what an additive dose does.
    """
    found = objective_gradients(model, behavior, behavior.selection)[1]
    scale = budgets(model, (clean or clean_ground(model, behavior)).stream)
    return ranked("slope", model, torch.where(scale.isinf(), 0.0, found * scale), layers)
