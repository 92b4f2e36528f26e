"""Sharing is measured, never assumed: in every family rows say what they say alone."""

import pytest
import torch

from fulcra.engines.decoding import decode, shared
from fulcra.models import add, add_mlp, anchor, scale
from fulcra.models.families import FAMILIES
from fulcra.models.tiny import tiny
from fulcra.types import Direction, RolloutRequest

#: Families whose block output is not the stream plus the column of W_down (a norm or a multiplier
#: comes between), and OPT, whose MLP sees positions without their rows: their rows enter below the
#: edited block.
BENT = ("gemma2", "gemma3", "gemma3_text", "glm4", "granite", "olmo2", "olmo3", "opt")


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_says_the_same_shared_and_alone(name: str) -> None:
    model = tiny(name)
    sites = [model.neuron(layer, 1 + layer) for layer in range(model.n_layers)]
    vector = torch.linspace(-1, 1, model.d_model)
    edits = [
        (),
        *((add(site, alpha=3.0),) for site in sites),
        (scale(sites[-1], 2.0),),
        (add(Direction(0, "v", vector), alpha=0.5),),
    ]
    edits += [
        (anchor(sites[1], 3.0, 0.4, k=2.0),),
        tuple(add_mlp(Direction(layer, "u", vector), 0.5) for layer in range(model.n_layers)),
    ]
    prompts = [(5, 6, 7), (8, 9, 10, 11, 12), (5, 6, 7, 13)]
    requests = [RolloutRequest(prompt, edit, 6) for edit in edits for prompt in prompts]
    assert shared(model) == ("block" if name in BENT else "write")
    assert decode(model, requests) == [decode(model, [request], "none")[0] for request in requests]
