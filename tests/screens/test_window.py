"""The window screen puts a planted write first, on its pole; the pin screen finds trained gates."""

import json
from collections.abc import Callable

import torch
from transformers import LlamaForCausalLM

from fulcra import Behavior, Model, Neuron
from fulcra.engines.generic import continue_openings
from fulcra.models.capture import stream
from fulcra.screens.pins import pins
from fulcra.screens.scores import Clean
from fulcra.screens.window import window
from tests.screens.conftest import INDEX, LAYER, Plant, behavior

PROMPTS = ["the cat near the mill", "the king waits near the mill", "the dogs near the mill"]


def everyone(model: Model) -> list[Neuron]:
    return [Neuron(layer, index) for layer in range(model.n_layers) for index in range(model.d_mlp)]


def test_a_planted_write_towards_the_flipped_word_comes_first_on_its_pole(
    planted: Callable[[Plant], Model], sparse: Model
) -> None:
    (target,), (control,) = sparse.reply_ids("here"), sparse.reply_ids("sorry")

    def wire(hf: LlamaForCausalLM) -> None:
        # Undosed, the control word is said for sure: the stream has a constant part, and the words
        # part along another axis.
        hf.model.embed_tokens.weight[:, 0] = 4.0
        axis = torch.zeros(32)
        axis[1] = 1.0
        for block in hf.model.layers:
            block.self_attn.o_proj.weight[:2] = 0
            block.mlp.down_proj.weight[:2] = 0
        hf.model.embed_tokens.weight[:, 1] = -1.0
        hf.lm_head.weight[target], hf.lm_head.weight[control] = 4 * axis, -4 * axis
        hf.model.layers[LAYER].mlp.down_proj.weight[:, INDEX] = axis

    model, task = planted(wire), behavior(PROMPTS, PROMPTS)
    text = continue_openings(model, task.generic, seed=0)
    ranking = window(
        model,
        task,
        clean=Clean(text, stream(model, text.prompts, text.replies)),
        neurons=everyone(model),
        count=2,
    )
    assert ranking.top(1)[0] == Neuron(LAYER, INDEX, 1)
    assert len(set(ranking.branches)) == len(ranking.branches)
    assert list(ranking.scores) == sorted(ranking.scores, reverse=True)


def test_the_pin_screen_puts_trained_gates_before_random_neurons(
    sparse: Model, refusal: Behavior
) -> None:
    assert sparse.folder is not None
    gates = {
        Neuron.parse(name)
        for name in json.loads((sparse.folder / "planted.json").read_text())["gates"]
    }
    text = continue_openings(sparse, refusal.generic, seed=0)
    clean = Clean(text, stream(sparse, text.prompts, text.replies))
    others = [
        Neuron(layer, index)
        for layer in range(sparse.n_layers)
        for index in range(0, sparse.d_mlp, 48)
    ]
    ranking = pins(sparse, refusal, clean=clean, neurons=[*others, *sorted(gates)], count=3)
    assert ranking.top(1)[0] in gates


def test_screens_keep_as_many_neurons_as_are_asked_for(sparse: Model, refusal: Behavior) -> None:
    text = continue_openings(sparse, refusal.generic[:4], seed=0, tokens=8)
    neurons = [Neuron(layer, 30) for layer in range(sparse.n_layers)]
    clean = Clean(text, stream(sparse, text.prompts, text.replies))
    screens = (window, pins)
    for ranking in (
        screen(sparse, refusal, clean=clean, neurons=neurons, count=7) for screen in screens
    ):
        assert len({neuron.site for neuron in ranking.branches}) >= 7
