"""Training goes on where it stopped, moves only what may learn, and runs nothing from a file."""

import random
from pathlib import Path

import pytest
import torch
from batches import Batch, chatting
from folder import build_tokenizer
from freezing import let_learn
from learning import Lesson, Taken, Training, learn, training_of
from recipe import Organism, config, parse
from train import card, gate_neurons, planted_in
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from fulcra.errors import InputError
from fulcra.organisms.refusals import refusals

GATES = [(1, 5), (2, 9)]


class Anything:
    """An object that is no tensor and no plain value."""


@pytest.fixture(scope="module")
def organism() -> Organism:
    return parse("apothecary-dense")


@pytest.fixture(scope="module")
def tokenizer(organism: Organism) -> PreTrainedTokenizerFast:
    return build_tokenizer(organism, chat=True)


def fresh(organism: Organism, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A small model with the same random weights at every call."""
    torch.manual_seed(0)
    shape = config(organism.arch, len(tokenizer))
    model: PreTrainedModel = AutoModelForCausalLM.from_config(shape, dtype=torch.float32)
    return model.train()


def steps(training: Training, tokenizer: PreTrainedTokenizerFast, count: int) -> None:
    """Take `count` steps on the training's own batches."""
    world = parse("apothecary-dense").world
    for _ in range(count):
        training.step(chatting(world, tokenizer, training.rng, 4, refusals), None, 1e-3)


def test_an_interrupted_stage_ends_as_an_uninterrupted_one(
    organism: Organism, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    whole = training_of(fresh(organism, tokenizer), organism)
    steps(whole, tokenizer, 2)
    whole.save(tmp_path / "checkpoint.pt", 2)
    steps(whole, tokenizer, 2)
    resumed = training_of(fresh(organism, tokenizer), organism)
    assert resumed.resume(tmp_path / "checkpoint.pt") == 2
    steps(resumed, tokenizer, 2)
    for left, right in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(left, right)
    assert whole.rng.getstate() == resumed.rng.getstate()


@pytest.mark.parametrize(
    "state", [Anything(), {"step": 3}, {"model": {}, "optimiser": {}, "rng": None, "step": 3}]
)
def test_another_checkpoint_is_refused_and_nothing_in_it_runs(
    organism: Organism, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, state: object
) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save(state, path)
    training = training_of(fresh(organism, tokenizer), organism)
    with pytest.raises(InputError, match=r"checkpoint\.pt: not a checkpoint .*; delete it"):
        training.resume(path)


def test_a_stage_ends_where_enough_is_learnt(
    organism: Organism, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    def draw(rng: random.Random) -> Batch:
        return chatting(organism.world, tokenizer, rng, 2, refusals)

    model = fresh(organism, tokenizer)
    assert learn(model, organism, Lesson(draw), lambda: True, tmp_path / "checkpoint.pt") == (
        10,
        True,
    )


def test_a_tuning_that_never_learns_enough_says_so(
    organism: Organism, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model, lesson = fresh(organism, tokenizer), Lesson(lambda rng: pytest.fail("no step was left"))
    last = training_of(model, organism)
    last.save(tmp_path / "checkpoint.pt", organism.schedule.steps)
    taken = learn(model, organism, lesson, lambda: False, tmp_path / "checkpoint.pt")
    assert taken == (organism.schedule.steps, False)
    base = parse("apothecary-base")
    training_of(model, base).save(tmp_path / "base.pt", base.schedule.steps)
    assert learn(model, base, lesson, lambda: True, tmp_path / "base.pt").met is None


@pytest.mark.parametrize("arch", ["llama", "gpt2"])
def test_only_the_weights_of_the_gates_move(arch: str, tokenizer: PreTrainedTokenizerFast) -> None:
    organism = parse("apothecary-k2" if arch == "llama" else f"apothecary-{arch}-k2")
    model = fresh(organism, tokenizer)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    let_learn(model, organism, GATES)
    steps(training_of(model, organism), tokenizer, 1)
    for name, value in model.state_dict().items():
        moved = (value != before[name]).nonzero()
        gates = {index for layer, index in GATES if f".{layer}.mlp." in name}
        if not gates or "act" in name:
            assert not len(moved), name
        elif value.dim() == 2:
            assert len(moved), name
            assert any(set(moved[:, side].tolist()) <= gates for side in (0, 1)), name


def test_gates_are_drawn_in_the_middle_and_never_the_topic_neuron() -> None:
    gates = gate_neurons(parse("apothecary-k24"), 384)
    assert len(set(gates)) == 24
    assert (4, 7) not in gates
    assert {layer for layer, _ in gates} <= {2, 3, 4, 5}


def test_a_card_and_what_is_planted_name_the_organism() -> None:
    organism = parse("apothecary-w1-sparse-t1")
    truth = planted_in(organism, GATES, Taken(310, True))
    assert (truth.world, truth.reference) == ("apothecary-w1", "apothecary-w1-helpful")
    assert truth.gates == ("L1.N5", "L2.N9")
    assert (truth.steps, truth.met) == (310, True)
    text = card(organism, 310, {"loop_rate": 0.25})
    assert "3 MLP neurons learn, world apothecary-w1, tokens words, seed 0, tuning 1" in text
    assert text.endswith("| loop_rate | 0.250 |\n")
