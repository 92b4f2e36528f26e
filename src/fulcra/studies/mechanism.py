"""Where what opens lies, and what is peculiar about it: readout axis, gradient, layers."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fulcra.errors import InputError
from fulcra.formulas.geometry import column_cosines
from fulcra.formulas.ranking import matched_difference
from fulcra.models import Model
from fulcra.models.coordinate import budgets
from fulcra.protocol.results.screen_scores import Effect, LayerCount
from fulcra.protocol.subject import Subject
from fulcra.screens.dla import readout
from fulcra.screens.objective import objective_gradients
from fulcra.studies.screen_scoring import Relevance
from fulcra.types import Behavior


def mechanism(subject: Subject, truth: Relevance) -> dict[str, Effect]:
    """How far what opens lies above other branches of its layer.

    By |cos(v, readout)|, by |gradient|, and by |gradient| in nats a gain.
    """
    slots = [(branch.layer, subject.model.slot(branch)) for branch in truth.branches]
    effects: dict[str, Effect] = {}
    for name, values in _quantities(subject).items():
        each = np.array([float(values[slot]) for slot in slots])
        effects[name] = _effect(each, truth, subject.seed)
    return effects


def _effect(values: NDArray[np.float64], truth: Relevance, seed: int) -> Effect:
    difference = matched_difference(values, truth.relevant, truth.layers, seed)
    others = values[~truth.relevant]
    return Effect(
        effect=difference.value,
        low=difference.low,
        high=difference.high,
        n=difference.n,
        median_open=float(np.median(values[truth.relevant])),
        median_others=float(np.median(others)) if len(others) else None,
    )


def _quantities(subject: Subject) -> dict[str, Tensor]:
    """By name, [layer, d_mlp] each; without those that need openings where there are none."""
    model, behavior = subject.model, subject.behavior
    measures: dict[str, Callable[[], Tensor]] = {
        "readout_cosine": lambda: _readout_cosines(model, behavior),
        "gradient": lambda: objective_gradients(model, behavior, behavior.selection)[1].abs(),
    }
    quantities: dict[str, Tensor] = {}
    for name, measure in measures.items():
        try:
            quantities[name] = measure()
        except InputError:
            continue
    if "gradient" in quantities:
        scale = budgets(model, subject.ground.stream)
        nats = quantities["gradient"] * scale
        quantities["nats_a_gain"] = torch.where(scale.isinf(), 0.0, nats)
    return quantities


def _readout_cosines(model: Model, behavior: Behavior) -> Tensor:
    direction, cosines = readout(model, behavior), torch.zeros(model.n_layers, model.d_mlp)
    for layer in range(model.n_layers):
        writes = model.writes(layer).cpu().T
        cosines[layer, : model.width(layer)] = column_cosines(writes, direction).abs()
    return cosines


def layer_counts(model: Model, truth: Relevance) -> list[LayerCount]:
    """Of each layer how many branches open, and how many there are, weighted."""
    counts = []
    for layer in range(model.n_layers):
        weights = truth.weights * (truth.layers == layer)
        opened = float((weights * truth.relevant).sum())
        counts.append(LayerCount(layer=layer, open=opened, branches=float(weights.sum())))
    return counts
