"""What prompts begin with alike is read once a dose, and nothing else comes out."""

import pytest
import torch

from fulcra.ladders import passes
from fulcra.ladders.passes import Texts, dosed_vectors, text_log_probs
from fulcra.models.capture import reply_log_probs
from fulcra.models.tiny import tiny
from fulcra.types import Edit, Neuron

SHARED = (5, 9, 13, 17, 21)
PROMPTS = [(*SHARED, 6), (*SHARED, 7, 8, 9), (*SHARED, 6), (*SHARED, 11, 12)]
REPLIES = [(6, 7), (8,), (9, 10, 11), (12, 13)]
KINDS = ("llama", "gpt2", "gemma2", "qwen3", "mistral")


@pytest.mark.parametrize("kind", KINDS)
def test_a_shared_beginning_changes_no_vector(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(kind)
    texts = Texts.of_pairs(model, PROMPTS, REPLIES)
    assert texts.prefix == len(SHARED)
    layers = range(model.n_layers)
    doses = [None, *(Edit(Neuron(layer, 3), "add", 2.0) for layer in layers)]
    runs = []
    for least in (1000, 1):
        monkeypatch.setattr(passes, "PREFIX", least)
        out = {
            place: row
            for places, rows in dosed_vectors(model, texts, doses)
            for place, row in zip(places, rows, strict=True)
        }
        runs.append(torch.stack([out[i] for i in range(len(doses))]))
    torch.testing.assert_close(*runs, rtol=1e-4, atol=1e-5)


def test_no_beginning_is_shared_where_an_edit_tells_prompt_from_reply() -> None:
    model = tiny("llama")
    texts = Texts.of_pairs(model, PROMPTS, REPLIES)
    everywhere = Edit(Neuron(0, 3), "add", 2.0)
    assert passes._may_share_prefix(model, texts, [(everywhere,)])
    for edit in (
        Edit(Neuron(0, 3), "add", 2.0, positions="prompt"),
        Edit(Neuron(0, 3), "anchor", 1.0),
    ):
        assert not passes._may_share_prefix(model, texts, [(everywhere,), (edit,)])


def test_replies_scored_together_are_those_scored_one_by_one() -> None:
    model = tiny("llama")
    together = text_log_probs(model, Texts.of_pairs(model, PROMPTS, REPLIES))
    for row, alone in zip(together, reply_log_probs(model, PROMPTS, REPLIES), strict=True):
        torch.testing.assert_close(row, alone, rtol=1e-4, atol=1e-5)
