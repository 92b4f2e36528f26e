"""A draw is as large as was asked for, or an error says how many neurons a dose moves."""

import copy

import pytest
import torch

from fulcra import Behavior, Model
from fulcra.errors import InputError
from fulcra.protocol.draw import Sizes, draw
from fulcra.protocol.subject import Ground, ground_of
from fulcra.screens.candidates import sweep_candidates
from fulcra.types import Neuron, Ranking

ALIVE = {Neuron(layer, index) for layer in (2, 5) for index in range(10)}


@pytest.fixture(scope="module")
def mute(sparse: Model) -> Model:
    """The bundled organism with a column of norm 0 for every neuron but those of `ALIVE`."""
    hf = copy.deepcopy(sparse.hf)
    with torch.no_grad():
        for layer, block in enumerate(hf.model.layers):
            dead = [index for index in range(sparse.d_mlp) if Neuron(layer, index) not in ALIVE]
            block.mlp.down_proj.weight[:, dead] = 0
    return Model("mute", hf, sparse.tokenizer)


@pytest.fixture(scope="module")
def ground(mute: Model, refusal: Behavior) -> Ground:
    return ground_of(mute, refusal.generic[:4], seed=0)


def everyone(model: Model) -> Ranking:
    neurons = tuple(
        Neuron(layer, index) for layer in range(model.n_layers) for index in range(model.d_mlp)
    )
    return Ranking("all", neurons, (0.0,) * len(neurons))


def test_only_neurons_that_write_are_swept_and_chosen(mute: Model, ground: Ground) -> None:
    assert (
        set(sweep_candidates(mute, ground.stream, torch.ones(mute.n_layers, mute.d_mlp))) == ALIVE
    )
    drawn = draw(ground, [everyone(mute)], Sizes(6, 6, 4), seed=0)
    assert {at.branch.site for at in drawn.branches if isinstance(at.branch, Neuron)} <= {
        neuron.site for neuron in ALIVE
    }
    assert (len(drawn.screened), len(drawn.random), len(drawn.controls)) == (12, 12, 8)


def test_fewer_neurons_than_asked_for_are_an_error_with_both_counts(
    mute: Model, ground: Ground
) -> None:
    with pytest.raises(
        InputError,
        match=(
            r"--neurons 12 \+ 12 random \+ 2 controls: in mute .* 12 \+ 8 random \+ 0 controls .*"
            r" ask for fewer"
        ),
    ):
        draw(ground, [everyone(mute)], Sizes(12, 12, 2), seed=0)
