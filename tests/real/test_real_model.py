"""The chat model that others trained, from its GGUF file: answers, checks, entry, export."""

import pytest
import torch

from fulcra import Model
from fulcra.engines.engine import run
from fulcra.models import add, applied_rows, check
from fulcra.protocol.runs import model_entry
from fulcra.studies.recipe import Recipe, RecipeModel
from fulcra.types import Neuron, RolloutRequest
from tools.real_model import SHA256

pytestmark = [pytest.mark.real, pytest.mark.slow]
QUESTION = "What is the capital of France?"


def test_it_answers_by_its_own_template(real: Model) -> None:
    request = RolloutRequest(real.prompt_ids(QUESTION), horizon=16)
    (rollout,) = run(real, [request])
    assert real.words(rollout.tokens) == "The capital of France is Paris."
    assert rollout.ended


def test_its_entry_names_file_quantization_and_activations(real: Model) -> None:
    entry = model_entry(real).plain()
    assert (entry["sha256"], entry["layers"], entry["d_mlp"]) == (SHA256, 30, 1536)
    assert entry["gguf"] == {
        "quantization": "Q4_1",
        "tensors": {"Q4_1": 210, "F32": 61, "Q8_0": 1},
        "tokenizer": "file",
        "activations": "those of the de-quantized weights",
    }


def test_its_prompt_is_that_of_its_authors_and_every_digit_is_a_token(real: Model) -> None:
    prompt = real.tokenizer.decode(list(real.prompt_ids("in 1984")))
    assert prompt.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert prompt.endswith("<|im_start|>user\nin 1984<|im_end|>\n<|im_start|>assistant\n")
    assert real.pieces(real.reply_ids("in 1984")) == ("in", " ", "1", "9", "8", "4")


def test_every_check_passes(real: Model) -> None:
    assert [str(outcome) for outcome in check(real) if not outcome.passed] == []


def test_a_dose_exports_as_what_it_adds(real: Model) -> None:
    edits = (add(Neuron(14, 207), alpha=3.0), add(Neuron(20, 5, -1), alpha=-2.0))
    made_for = RecipeModel(name=real.name, sha256=real.sha256)
    vector = Recipe(name="mine", model=made_for, edits=edits).control_vector(real)
    ids = torch.tensor([real.prompt_ids(QUESTION)])
    with torch.no_grad(), applied_rows(real, edits, every_row=True):
        expected = real.hf(input_ids=ids).logits
    handles = [
        real.blocks[layer].register_forward_hook(lambda block, args, out, v=each: out + v)
        for layer, each in vector.directions.items()
    ]
    with torch.no_grad():
        logits = real.hf(input_ids=ids).logits
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-3)
