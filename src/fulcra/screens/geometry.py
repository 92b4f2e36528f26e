"""The geometry screen of paper C: columns of W_down along the difference of the prompt sets."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fulcra.formulas.geometry import column_cosines
from fulcra.models import Model
from fulcra.models.capture import as_read
from fulcra.screens.directions import difference_directions
from fulcra.screens.scores import contrast_of, ranked, require_contrast
from fulcra.types import Behavior, Ranking


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
    """Branches by descending |cos(v_j, difference direction)|, each on the flipping pole.

    The direction is that of the neuron's layer; the pole writes away from the undosed side.
    """
    side = contrast_of(model, behavior, "geometry").side
    return ranked("geometry", model, -side * _cosines(model, behavior), layers)
