"""The forward-only contrastive screen of paper B.

Neurons whose activation separates two prompt sets.
"""

from collections.abc import Sequence

from torch import Tensor

from fulcra.models import Model
from fulcra.screens.scores import (
    Clean,
    Contrast,
    Units,
    contrast_of,
    gain_units,
    in_units,
    ranked,
)
from fulcra.types import Behavior, Ranking

#: Paper B's set, and below SMALL neurons, where that is a handful, two larger ones.
TOP_SHARE = 0.001
SMALL = 100_000


def activation_gaps(model: Model, behavior: Behavior) -> Tensor:
    """Mean activation on positives less that on negatives at the last token, [layer, d_mlp].

    delta of paper B. InputError names the first neuron whose activation is not a finite number.
    """
    contrast = contrast_of(model, behavior, "contrastive")
    return contrast.positive - contrast.negative


def contrastive(
    model: Model,
    behavior: Behavior,
    *,
    units: Units = "raw",
    clean: Clean | None = None,
    layers: Sequence[int] | None = None,
    top_k: int | None = None,
) -> Ranking:
    """Branches by descending |delta|, on the pole that pushes away from the undosed side.

    Every neuron once. `units="gain"` divides by the budget. Leave out universal neurons with
    `.without(universal(model))` before `.top(k)`; `set_sizes` has the paper's k.
    """
    gaps = contrast_of(model, behavior, "contrastive").towards_flip
    scores = in_units(model, behavior, gaps, units, clean)
    return ranked("contrastive", model, scores, layers, top_k)


def by_contrast(model: Model, contrast: Contrast, clean: Clean | None = None) -> Ranking:
    """The ranking of a contrast that was measured before; in gain units where `clean` is given."""
    gaps = contrast.towards_flip
    scores = gaps if clean is None else gain_units(model, clean.stream, gaps)
    return ranked("contrastive", model, scores)


def set_sizes(model: Model) -> dict[str, int]:
    """How many neurons paper B takes together: .1 % of all, below 100,000 also 1 % and 32."""
    total = sum(model.width(layer) for layer in range(model.n_layers))
    sizes = {"0.1%": max(1, round(TOP_SHARE * total))}
    if total >= SMALL:
        return sizes
    return sizes | {"1%": max(1, round(10 * TOP_SHARE * total)), "top 32": min(32, total)}
