"""Tiny models, prompts and edits that the tests of models share; a test that changes a model makes
its own.
"""

from functools import cache

import torch
from torch import Tensor

from fulcra.models import Model, ablate_direction, add, add_mlp, anchor, pin, scale
from fulcra.models.batches import padded, positions_of
from fulcra.models.families import FAMILIES
from fulcra.models.read_hooks import last, mlp_inputs
from fulcra.models.tiny import tiny
from fulcra.types import Direction, Edit, Edits, Neuron

ALL = tuple(FAMILIES)
POST_NORM = tuple(name for name, family in FAMILIES.items() if family.post_norm)
PRE_NORM = tuple(name for name in ALL if name not in POST_NORM)
MIXTURES = tuple(name for name, family in FAMILIES.items() if family.experts)
PROMPTS = ((5, 17, 23, 42, 8, 61, 33, 12, 71), (9, 31, 4), (77, 13, 54, 20, 6, 88), (11, 12))


@cache
def model_of(family: str) -> Model:
    """The tiny model of a family, made once."""
    return tiny(family)


def logits_of(
    model: Model, rows: tuple[tuple[int, ...], ...] = PROMPTS, left: bool = True
) -> Tensor:
    """Logits at the last token of every row, of one padded pass."""
    ids, mask = padded(rows, model.device, left=left)
    ends = torch.full((len(rows),), ids.shape[1] - 1) if left else mask.sum(-1) - 1
    with torch.no_grad():
        logits: Tensor = model.hf(
            input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=False
        ).logits
    return logits[range(len(rows)), ends]


def routed_neuron(model: Model, layer: int, index: int = 3, pole: int = 1) -> Neuron:
    """A neuron of `layer`; in a mixture of the expert that the last token of the first prompt is
    routed to.
    """
    if model.experts(layer) is None:
        return Neuron(layer, index, pole)
    with torch.no_grad(), mlp_inputs(model, 1, last) as reads:
        model.hf(input_ids=torch.tensor([PROMPTS[0]]), use_cache=False)
    return Neuron(layer, index, pole, int(reads[layer].expert_ids[0, 0]))  # type: ignore[union-attr]


def direction(model: Model, layer: int) -> Direction:
    """A fixed random direction."""
    return Direction(
        layer, "random", torch.randn(model.d_model, generator=torch.Generator().manual_seed(layer))
    )


def row_edits(model: Model) -> list[Edits]:
    """Different edits for the four rows: every op, several layers, several positions, and none."""
    first, second = routed_neuron(model, 1), routed_neuron(model, 2, 7)
    vector: Edit = add(direction(model, 1), alpha=0.7)
    return [
        (scale(first, 0.0), add(second, alpha=-2.0)),
        (),
        (
            add_mlp(direction(model, 0), 0.5),
            pin(first, 1.5),
            add(routed_neuron(model, 0, 5), alpha=3.0, positions="last"),
            vector,
        ),
        (
            ablate_direction(direction(model, 2)),
            scale(second, 3.0, positions="prompt"),
            anchor(first, -2.0, gap=0.5),
        ),
    ]
