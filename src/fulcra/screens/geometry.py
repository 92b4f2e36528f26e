"""The geometry screen of paper C: columns of W_down that point along the difference of the two
prompt sets.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.formulas.geometry import chance_of_cosine, column_cosines, expected_max_cosine
from fulcra.models import Model
from fulcra.models.capture import as_read
from fulcra.screens.directions import difference_directions
from fulcra.screens.scores import contrast_of, ranked, require_contrast
from fulcra.types import Behavior, Neuron, Ranking


def _cosines(model: Model, behavior: Behavior) -> Tensor:
    """cos of every write with its own layer's difference direction, [layer, d_mlp]."""
    require_contrast(behavior, "geometry")
    out = torch.zeros(model.n_layers, model.d_mlp)
    for direction in difference_directions(model, behavior):
        writes = as_read(model, model.writes(direction.layer)).cpu()
        out[direction.layer, : len(writes)] = column_cosines(
            writes.T, as_read(model, direction.vector)
        )
    return out


def geometry(model: Model, behavior: Behavior, *, layers: Sequence[int] | None = None) -> Ranking:
    """Branches by descending |cos(v_j, difference direction of its layer)|, on the pole that writes
    away from the undosed side.
    """
    side = contrast_of(model, behavior, "geometry").side
    return ranked("geometry", model, -side * _cosines(model, behavior), layers)


class BestColumn(NamedTuple):
    """The column nearest to a difference direction, beside chance: p bound, and the largest |cos|
    expected of random columns.
    """

    neuron: Neuron
    cosine: float
    p_bound: float
    expected_max: float


def best_column(model: Model, behavior: Behavior) -> BestColumn:
    """The best column over all layers; the bound counts every column of every layer (law.md section
    7).
    """
    found = _cosines(model, behavior)
    at = int(found.abs().argmax())
    layer, slot, total = (
        at // model.d_mlp,
        at % model.d_mlp,
        sum(model.width(layer) for layer in range(model.n_layers)),
    )
    cosine = float(found[layer, slot])
    p_bound = chance_of_cosine(cosine, model.d_model, total)
    return BestColumn(
        model.neuron(layer, slot), cosine, p_bound, expected_max_cosine(model.d_model, total)
    )
