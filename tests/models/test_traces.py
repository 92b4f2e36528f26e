"""A trace is what transformers hands to the down projection, token by token, whatever else is in
the batch.
"""

import pytest
import torch

from fulcra.errors import InputError
from fulcra.models.read_hooks import mlp_inputs
from fulcra.models.tiny import tiny, tiny_tokenizer
from fulcra.models.traces import traces, windows
from fulcra.types import Neuron
from tests.models.cases import ALL, MIXTURES, PROMPTS, model_of, routed_neuron


@pytest.mark.parametrize("family", sorted(set(ALL) - set(MIXTURES)))
def test_a_trace_is_the_input_of_the_down_projection(family: str) -> None:
    model, neurons = model_of(family), (Neuron(1, 7), Neuron(0, 3, -1), Neuron(1, 2))
    result = list(traces(model, neurons, PROMPTS, batch=3))
    for prompt, reads in zip(PROMPTS, result, strict=True):
        with torch.no_grad(), mlp_inputs(model, 1) as inputs:
            model.hf(input_ids=torch.tensor([prompt]), use_cache=False)
        alone = torch.stack([inputs[n.layer][0, :, n.index] for n in neurons])  # type: ignore[call-overload]
        torch.testing.assert_close(reads, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", MIXTURES)
def test_in_a_mixture_a_token_that_the_expert_does_not_see_is_nan(family: str) -> None:
    model = model_of(family)
    neuron = routed_neuron(model, 2)
    together, alone = (
        next(traces(model, [neuron], PROMPTS)),
        next(traces(model, [neuron], PROMPTS[:1])),
    )
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4, equal_nan=True)
    assert not together[0, -1].isnan()
    assert together.isnan().any()


def test_a_broken_number_is_refused_and_not_taken_for_an_unseen_token() -> None:
    model = tiny("llama")
    model.blocks[1].mlp.up_proj.weight.data[7] = torch.nan
    assert next(traces(model, [Neuron(1, 2)], PROMPTS)).isfinite().all()
    with pytest.raises(
        InputError,
        match=(
            r"neuron L1\.N7: its activation is nan at token 0 of a text; load the model in float32"
        ),
    ):
        next(traces(model, [Neuron(1, 7)], PROMPTS))


@pytest.mark.parametrize("size", [3, 4, 9, 1000])
def test_the_windows_are_the_text_each_after_a_bos(size: int) -> None:
    model = tiny("llama")
    words = [f"w{3 + i % 90}" for i in range(57)]
    pieces = [" ".join(words[:20]) + "\n", " ".join(words[20:])]
    ids = model.reply_ids(" ".join(words))
    plain = list(windows(model, pieces, size))
    assert tuple(token for window in plain for token in window) == ids[: sum(map(len, plain))]
    assert sum(map(len, plain)) >= len(ids) - 1
    model = tiny("llama")
    model.tokenizer = tiny_tokenizer(adds_bos=True)
    led = list(windows(model, pieces, size))
    assert tuple(token for window in led for token in window[1:]) == ids
    assert {window[0] for window in led} == {1}
    assert max(map(len, led)) <= min(size, model.context)


def test_a_window_without_a_position_to_read_is_refused() -> None:
    with pytest.raises(InputError, match="window of 1 tokens: expected at least 2"):
        next(windows(model_of("llama"), ["w5"], 1))


def test_a_neuron_the_model_lacks_is_refused() -> None:
    with pytest.raises(InputError, match="layers 0-2 and neurons 0-47"):
        next(traces(model_of("llama"), [Neuron(1, 999)], PROMPTS))
