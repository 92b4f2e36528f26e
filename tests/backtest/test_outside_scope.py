"""Joint doses: the algebra of their sum, and a joint dose of one neuron alone."""

import random

import pytest
import torch

from fulcra.backtest.outside_scope import joint_dose, several_layers, two_neurons
from fulcra.engines.generic import GenericText, continue_openings
from fulcra.ladders.kl_ladder import edit_divergences
from fulcra.models import applied_rows
from fulcra.models.read_hooks import block_outputs
from fulcra.models.tiny import tiny
from fulcra.protocol.subject import ground_of

TEXTS = ["w5 w6 w7", "w9 w10", "w30", "w40 w3"]


@pytest.fixture(scope="module")
def text() -> GenericText:
    return continue_openings(tiny("llama"), TEXTS, seed=0, tokens=6)


def test_two_neurons_write_the_sum_of_their_columns() -> None:
    model = tiny("llama")
    ground = ground_of(model, TEXTS, seed=0)
    writes = two_neurons(ground, 1, random.Random(0))
    edits = joint_dose(writes, 0.8)
    ids = torch.tensor([[1, 5, 6, 7]])

    def at_layer_one(rows: list[tuple[object, ...]]) -> torch.Tensor:
        with torch.no_grad(), applied_rows(model, rows), block_outputs(model) as outputs:  # type: ignore[arg-type]
            model.hf(ids)
        return outputs[1]

    moved = at_layer_one([edits]) - at_layer_one([()])
    expected = sum(edit.value * model.write(edit.site) for edit in edits)  # type: ignore[arg-type]
    torch.testing.assert_close(moved, expected.expand_as(moved), rtol=1e-3, atol=1e-4)  # type: ignore[union-attr]
    lengths = [abs(edit.value) * float(model.write(edit.site).norm()) for edit in edits]  # type: ignore[arg-type]
    assert lengths == [pytest.approx(0.8 * float(ground.stream.norm[1]) / 2**0.5, rel=1e-4)] * 2


def test_divergence_of_joint_doses_is_that_of_full_passes(text: GenericText) -> None:
    model = tiny("llama")
    ground = ground_of(model, TEXTS, seed=0)
    rng = random.Random(0)
    joint = [
        joint_dose(make(ground, layer, rng), 0.7)
        for make in (two_neurons, several_layers)
        for layer in (0, 1)
    ]
    together = edit_divergences(model, joint, text)
    alone = torch.cat([edit_divergences(model, [edits], text) for edits in joint])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    for edits, value in zip(joint, together, strict=True):
        nats = []
        for prompt, reply in zip(text.prompts, text.replies, strict=True):
            ids, span = torch.tensor([prompt + reply]), slice(len(prompt) - 1, -1)
            with torch.no_grad():
                clean = model.hf(ids).logits[0, span].log_softmax(-1)
                with applied_rows(model, [edits]):
                    dosed = model.hf(ids).logits[0, span].log_softmax(-1)
            nats.append((clean.exp() * (clean - dosed)).sum(-1))
        torch.testing.assert_close(value, torch.cat(nats).mean(), rtol=1e-3, atol=1e-4)
