"""What is read from a model is what the model computed, and stays what it was."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fulcra.errors import InputError, ModelCheckError
from fulcra.models import add, applied_rows, pin, scale
from fulcra.models.activations import activations, natural_extent
from fulcra.models.capture import last_residuals, reply_log_probs, stream
from fulcra.models.read_hooks import block_outputs, mlp_inputs
from fulcra.models.tiny import tiny
from fulcra.types import Neuron
from tests.models.cases import ALL, MIXTURES, PROMPTS, logits_of, model_of, routed_neuron, row_edits

DENSE = sorted(set(ALL) - set(MIXTURES))
GATED = [
    name for name in DENSE if name not in ("gpt2", "gpt_neox", "opt", "starcoder2", "phi3", "glm4")
]


def neurons_alone(family: str, prompt: tuple[int, ...]) -> Tensor:
    """The input of every down projection on one unpadded prompt, [layer, pos, d_mlp]."""
    model, result = model_of(family), []
    handles = [
        model.down(layer).register_forward_pre_hook(
            lambda module, args: result.append(args[0].reshape(-1, args[0].shape[-1]).clone())
        )
        for layer in range(model.n_layers)
    ]
    with torch.no_grad():
        model.hf(input_ids=torch.tensor([prompt]), use_cache=False)
    for handle in handles:
        handle.remove()
    return torch.stack(result)


@pytest.mark.parametrize("family", DENSE)
def test_activations_under_left_padding_are_those_of_the_prompt_alone(family: str) -> None:
    expected = torch.stack([neurons_alone(family, prompt)[:, -1] for prompt in PROMPTS])
    assert_close(
        torch.cat(list(activations(model_of(family), PROMPTS, batch=3))),
        expected,
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("family", GATED)
def test_a_neuron_is_the_gated_product_not_the_gate(family: str) -> None:
    # pyvene's mlp_activation is act(gate) before the product
    model = model_of(family)
    mlp = model.blocks[1].mlp
    with torch.no_grad(), mlp_inputs(model, 1) as reads:
        handle = mlp.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
        inputs: list[Tensor] = []
        model.hf(input_ids=torch.tensor([PROMPTS[0]]), use_cache=False)
        handle.remove()
        gate = mlp.act_fn(mlp.gate_proj(inputs[0]))
        assert_close(reads[1], gate * mlp.up_proj(inputs[0]), rtol=1e-5, atol=1e-6)
        assert not torch.allclose(reads[1], gate)


@pytest.mark.parametrize("family", ALL)
def test_what_was_captured_is_not_overwritten_by_a_later_edit(family: str) -> None:
    model = model_of(family)
    ids = torch.tensor([PROMPTS[0]])
    neuron = routed_neuron(model, 1)
    with torch.no_grad(), mlp_inputs(model, 1) as before, block_outputs(model) as streams:
        model.hf(input_ids=ids, use_cache=False)
    with (
        torch.no_grad(),
        mlp_inputs(model, 1) as reads,
        block_outputs(model) as edited,
        applied_rows(model, (pin(neuron, 9.0),), every_row=True),
    ):
        model.hf(input_ids=ids, use_cache=False)
    # the tap stands before the edit, so it read the clean neuron; the edit then wrote into the same
    # memory
    assert_close(reads[1], before[1], rtol=0, atol=0)
    assert not torch.equal(streams[1], edited[1])


@pytest.mark.parametrize("family", DENSE)
def test_the_natural_extent_is_the_largest_activation_of_every_position_but_the_first(
    family: str,
) -> None:
    alone = [
        neurons_alone(family, prompt)[:, 1:].abs().amax(1) for prompt in PROMPTS if len(prompt) > 1
    ]
    assert_close(
        natural_extent(model_of(family), PROMPTS, batch=3),
        torch.stack(alone).amax(0),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("family", ALL)
def test_log_probabilities_of_replies_do_not_depend_on_the_batch(family: str) -> None:
    model = model_of(family)
    replies = ((40, 50, 60), (70, 80), (3,), (15, 25, 35, 45))
    edits = [
        (),
        (add(routed_neuron(model, 1), alpha=3.0),),
        (),
        (scale(routed_neuron(model, 2), 0.0),),
    ]
    together = reply_log_probs(model, PROMPTS, replies, edits)
    alone = [
        reply_log_probs(model, [p], [r], [e])[0]
        for p, r, e in zip(PROMPTS, replies, edits, strict=True)
    ]
    for left, other in zip(together, alone, strict=True):
        assert_close(left, other, rtol=1e-4, atol=1e-4)


def test_last_residuals_are_those_of_the_last_token() -> None:
    model = model_of("gemma2")
    result = torch.cat(list(last_residuals(model, PROMPTS, batch=2)))
    with torch.no_grad(), block_outputs(model) as outputs:
        model.hf(input_ids=torch.tensor([PROMPTS[1]]), use_cache=False)
    assert_close(
        result[1], torch.stack([outputs[layer][0, -1] for layer in range(3)]), rtol=1e-4, atol=1e-4
    )


def test_blocks_that_return_a_tuple_are_read_and_dosed_like_those_that_return_a_tensor() -> None:
    # decoder blocks return a tensor in transformers 5 and a tuple before
    expected, model = model_of("llama"), tiny("llama")
    for block in model.blocks:
        block.register_forward_hook(
            lambda module, args, output: output if isinstance(output, tuple) else (output, "cache")
        )
        block.register_forward_pre_hook(
            lambda module, args: (args[0][0] if isinstance(args[0], tuple) else args[0], *args[1:])
        )
    model.hf.model.norm.register_forward_pre_hook(
        lambda module, args: args[0][:1] if isinstance(args[0], tuple) else args
    )
    with applied_rows(model, row_edits(model)):
        result = logits_of(model)
    with applied_rows(expected, row_edits(expected)):
        assert torch.equal(result, logits_of(expected))


def test_text_without_replies_has_no_stream() -> None:
    with pytest.raises(InputError, match="no continuation positions"):
        stream(model_of("llama"), PROMPTS, ((), (), (), ()))


def test_a_tap_on_a_model_that_never_ran_says_so() -> None:
    with (
        pytest.raises(ModelCheckError, match=r"no hook ran at model\.layers\.0\.mlp\.down_proj"),
        block_outputs(model_of("llama")),
    ):
        pass


def test_the_stream_of_a_single_layer_model_is_read() -> None:
    model = tiny("llama", num_hidden_layers=1)
    clean = stream(model, PROMPTS, ((4, 5), (6,), (7,), (8, 9)))
    assert clean.sample.shape == (1, 6, model.d_model)
    assert model.neuron(0, 3) == Neuron(0, 3)
