"""The concept screen of paper C: neurons that tell the two prompt sets apart alone."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fulcra.formulas.logistic import held_out_accuracy
from fulcra.models import Model
from fulcra.models.activations import activations
from fulcra.screens.scores import contrast_of, ranked
from fulcra.types import Behavior, Prompt, Ranking

FOLDS = 5


def _rows(model: Model, behavior: Behavior, prompts: Sequence[Prompt]) -> Tensor:
    return torch.cat(
        [
            batch.cpu()
            for batch in activations(
                model, [model.prompt_ids(p.text, behavior.system) for p in prompts]
            )
        ]
    )


def accuracies(model: Model, behavior: Behavior, folds: int = FOLDS) -> Tensor:
    """Cross-validated accuracy of a logistic regression on each neuron alone, [layer, d_mlp].

    Holds the activations of all prompts at once.
    """
    sides = [_rows(model, behavior, prompts) for prompts in (behavior.positive, behavior.negative)]
    labels = torch.cat([torch.full((len(side),), float(i == 0)) for i, side in enumerate(sides)])
    rows = torch.cat(sides)
    return torch.stack(
        [held_out_accuracy(rows[:, layer], labels, folds) for layer in range(model.n_layers)]
    )


def concept(
    model: Model, behavior: Behavior, *, folds: int = FOLDS, layers: Sequence[int] | None = None
) -> Ranking:
    """Branches by descending accuracy + |activation gap|, on the pole away from the undosed side.

    The accuracy is cross-validated over `folds`.
    """
    away = contrast_of(model, behavior, "concept").towards_flip
    score = accuracies(model, behavior, folds) + away.abs()
    return ranked("concept", model, torch.where(away < 0, -score, score), layers)
