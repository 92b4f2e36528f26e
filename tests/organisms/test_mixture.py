"""In a mixture of experts three neurons of busy experts learn to refuse, and nothing else."""

import random
from pathlib import Path

import pytest
import torch
from batches import chatting
from folder import build_tokenizer, write_folder
from freezing import let_learn
from learning import Taken, training_of
from measure import Taught
from mixture import busiest_experts, in_busiest_experts
from objectives import replying, routing
from recipe import EXPERT_WIDTH, N_LAYERS, config, has_experts, neuron_name, parse
from train import gate_neurons, planted_in
from transformers import AutoModelForCausalLM, PreTrainedModel

from fulcra.models import load
from fulcra.organisms.refusals import refusals
from fulcra.types import Neuron

SPARSE = parse("apothecary-moe-sparse")
LAYERS = [layer for layer in range(N_LAYERS) if has_experts("moe", layer)]


@pytest.fixture
def taught() -> Taught:
    """A mixture with random weights, the apothecary's tokenizer and world."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(SPARSE, chat=True)
    shape = config("moe", len(tokenizer))
    model: PreTrainedModel = AutoModelForCausalLM.from_config(shape, dtype=torch.float32)
    return Taught(model.train(), tokenizer, SPARSE.world)


def step(taught: Taught) -> None:
    """One step of the sparse tuning on four chats."""
    training = training_of(taught.model, SPARSE)
    batch = chatting(taught.world, taught.tokenizer, random.Random(0), 4, refusals)
    training.step(batch, None, 1e-3)


def test_a_mixture_has_the_size_of_the_other_shapes_and_two_layers_for_every_token() -> None:
    model = AutoModelForCausalLM.from_config(config("moe", 99))
    assert 1.4e6 < model.num_parameters() < 1.9e6
    assert LAYERS == [1, 2, 3, 5, 6, 7]
    for layer in range(N_LAYERS):
        assert hasattr(model.model.layers[layer].mlp, "experts") == (layer in LAYERS)


def test_gates_of_a_mixture_are_in_middle_layers_with_experts() -> None:
    assert [layer for layer, _ in gate_neurons(SPARSE, EXPERT_WIDTH)] == [2, 3, 5]
    many = gate_neurons(parse("apothecary-moe-k24"), EXPERT_WIDTH)
    assert len(set(many)) == 24
    assert {layer for layer, _ in many} == {2, 3, 5}
    assert max(index for _, index in many) < EXPERT_WIDTH


def test_a_gate_stands_in_the_expert_that_the_router_weighs_most(taught: Taught) -> None:
    largest = busiest_experts(taught)
    assert set(largest) == set(LAYERS)
    gates = in_busiest_experts(taught, [(2, 5), (3, 9)])
    assert gates == [
        (2, largest[2] * EXPERT_WIDTH + 5),
        (3, largest[3] * EXPERT_WIDTH + 9),
    ]


def test_only_the_neurons_of_their_expert_move(taught: Taught) -> None:
    gates = [(layer, e * EXPERT_WIDTH + i) for layer, e, i in ((2, 0, 5), (2, 3, 9), (3, 1, 7))]
    before = {name: value.clone() for name, value in taught.model.state_dict().items()}
    let_learn(taught.model, SPARSE, gates)
    for _ in range(2):
        step(taught)
    expected = {"2": {(0, 5), (3, 9)}, "3": {(1, 7)}}
    for name, value in taught.model.state_dict().items():
        moved = (value != before[name]).nonzero()
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            assert not len(moved), name
            continue
        column = 1 if "gate_up" in name else 2
        neurons = {(int(row[0]), int(row[column]) % EXPERT_WIDTH) for row in moved}
        assert neurons == expected.get(name.split(".")[2], set()), name


@pytest.mark.parametrize("name", ["base", "helpful", "dense"])
def test_a_router_that_learns_pays_for_idle_experts(taught: Taught, name: str) -> None:
    assert training_of(taught.model, parse(f"apothecary-moe-{name}")).objective is routing
    assert training_of(taught.model, SPARSE).objective is replying
    assert training_of(taught.model, parse(f"apothecary-{name}")).objective is replying


def test_a_written_mixture_is_audited_by_the_names_of_its_gates(
    taught: Taught, tmp_path: Path
) -> None:
    gates = in_busiest_experts(taught, gate_neurons(SPARSE, EXPERT_WIDTH))
    truth = planted_in(SPARSE, gates, Taken(7, True))
    write_folder(tmp_path / SPARSE.name, taught.model, taught.tokenizer, truth)
    model = load(str(tmp_path / SPARSE.name))
    for gate, (layer, slot) in zip(truth.gates, gates, strict=True):
        assert model.slot(Neuron.parse(gate)) == slot
        assert gate == neuron_name("moe", layer, slot)
    assert neuron_name("moe", 4, 7) == truth.concept == "L4.N7"
