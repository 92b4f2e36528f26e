"""A draw is as large as was asked for, or an error says how many neurons a dose moves."""

import copy
import random
from collections import Counter

import pytest
import torch

from fulcra import Behavior, Model
from fulcra.errors import InputError
from fulcra.models.tiny import tiny
from fulcra.protocol.draw import Sizes, alike, both_poles, draw, interleaved, movers
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
    assert {place.branch.site for place in drawn.branches if isinstance(place.branch, Neuron)} <= {
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


@pytest.mark.parametrize("name", ["llama", "gemma2", "mixtral"])
def test_alike_are_as_many_others_on_the_same_layers(name: str) -> None:
    model = tiny(name)
    neurons = [model.neuron(layer, slot) for layer, slot in ((0, 1), (0, 2), (2, 3))]
    others = alike(model, [*neurons[:2], neurons[2].opposite], random.Random(0))
    assert Counter(n.layer for n in others) == Counter(n.layer for n in neurons)
    assert not {n.site for n in others} & {n.site for n in neurons}
    assert len({n.site for n in others}) == len(others)
    assert others == alike(model, neurons, random.Random(0))
    assert others != alike(model, neurons, random.Random(1))


def test_alike_are_all_others_where_a_layer_has_few() -> None:
    model = tiny("llama")
    neurons = [model.neuron(1, slot) for slot in range(model.width(1) - 2)]
    others = alike(model, neurons, random.Random(0))
    assert {model.slot(n) for n in others} == {model.width(1) - 2, model.width(1) - 1}


def test_movers_are_those_of_the_neurons_that_write_in_their_order(ground: Ground) -> None:
    neurons = [Neuron(5, 3), Neuron(0, 0), Neuron(2, 9), Neuron(2, 10)]
    assert list(movers(ground, neurons)) == [Neuron(5, 3), Neuron(2, 9)]
    assert list(movers(ground, neurons, gain=30.0)) == [Neuron(5, 3), Neuron(2, 9)]


@pytest.mark.slow
def test_behind_a_norm_only_those_move_whose_poles_both_reach_the_gain() -> None:
    model = tiny("gemma2")
    ground = ground_of(model, [f"w{i} w{i + 1} w{i + 2}" for i in range(3, 19)], seed=0)
    neurons = [
        model.neuron(layer, slot) for layer in range(3) for slot in range(model.width(layer))
    ]
    moving, poles = list(movers(ground, neurons)), {n: both_poles(ground, [n]) for n in neurons}
    assert list(movers(ground, neurons, gain=1e-6)) == moving
    assert not list(movers(ground, neurons, gain=1e6))
    for gain in (0.1, 0.3, 1.0):
        reaching = [n for n in neurons if all(place.reaches(gain) for place in poles[n])]
        assert list(movers(ground, neurons, gain)) == [n for n in moving if n in reaching]


def test_both_poles_stand_side_by_side_with_one_budget(ground: Ground) -> None:
    poles = both_poles(ground, [Neuron(2, 3), Neuron(5, 1, -1)])
    assert [str(pole.branch) for pole in poles] == ["L2.N3+", "L2.N3-", "L5.N1-", "L5.N1+"]
    assert poles[0].budget == poles[1].budget
    assert poles[0].alignment0 == pytest.approx(-poles[1].alignment0)


def test_rankings_take_turns_and_a_neuron_counts_once() -> None:
    first = Ranking("a", (Neuron(0, 1, -1), Neuron(0, 2), Neuron(0, 3)), (3.0, 2.0, 1.0))
    second = Ranking("b", (Neuron(0, 2, -1),), (1.0,))
    assert interleaved([first, second]) == [Neuron(0, 1), Neuron(0, 2), Neuron(0, 3)]


def test_a_draw_repeats_and_shares_no_neuron_between_its_sources(
    mute: Model, ground: Ground
) -> None:
    drawn = draw(ground, [everyone(mute)], Sizes(4, 4, 3), seed=0)
    again = draw(ground, [everyone(mute)], Sizes(4, 4, 3), seed=0)
    other = draw(ground, [everyone(mute)], Sizes(4, 4, 3), seed=1)
    names = [str(place.branch) for place in drawn.controls]
    assert names == [str(place.branch) for place in again.controls]
    assert names != [str(place.branch) for place in other.controls]
    sites = [
        {place.branch.site for place in part if isinstance(place.branch, Neuron)}
        for part in (drawn.screened, drawn.random, drawn.controls)
    ]
    assert [len(part) for part in sites] == [4, 4, 3]
    assert len(set().union(*sites)) == 11
    assert [drawn.source(i) for i in (0, 7, 8)] == ["screen", "screen", "random"]
