"""Means taken batch by batch are those of all activations at once."""

import pytest
import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.models import Model, load
from fulcra.models.activations import activations, mean_activations
from fulcra.models.batches import batches
from fulcra.models.read_hooks import layer_activations, mlp_inputs
from tests.models.cases import ALL, PROMPTS, model_of


@pytest.fixture(scope="module")
def model() -> Model:
    return load("apothecary-sparse")


@pytest.fixture(scope="module")
def prompts(model: Model) -> list[tuple[int, ...]]:
    return [tuple(5 + (11 * row + 3 * i) % 500 for i in range(3 + row % 5)) for row in range(23)]


def hooks(model: Model) -> int:
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.hf.modules())


@torch.no_grad()
def alone(model: Model, prompt: tuple[int, ...], span: int) -> Tensor:
    """Mean activation over the last tokens of one prompt in a pass of its own, [layer, d_mlp]."""
    with mlp_inputs(model, 1, lambda layer, values: values[0, -span:]) as inputs:
        model.hf(input_ids=torch.tensor([prompt]), use_cache=False)
    return torch.stack(
        [layer_activations(model, layer, inputs[layer]).mean(0) for layer in range(model.n_layers)]
    )


def test_the_mean_is_that_of_all_activations(model: Model, prompts: list[tuple[int, ...]]) -> None:
    everything = torch.cat(list(activations(model, prompts)))
    means = mean_activations(model, prompts, batch=4)
    torch.testing.assert_close(means, everything.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("span", [1, 2])
def test_the_mean_of_every_family_is_that_of_each_prompt_alone(family: str, span: int) -> None:
    model = model_of(family)
    expected = torch.stack([alone(model, prompt, span) for prompt in PROMPTS]).mean(0)
    means = mean_activations(model, PROMPTS, span, batch=3)
    torch.testing.assert_close(means, expected, rtol=1e-4, atol=1e-5)


def test_hooks_are_gone_afterwards_and_after_an_exception(
    model: Model, prompts: list[tuple[int, ...]]
) -> None:
    before = hooks(model)
    mean_activations(model, prompts)
    with pytest.raises(IndexError):
        mean_activations(model, [(10**6,)])
    assert hooks(model) == before


def test_a_broken_activation_names_its_neuron(prompts: list[tuple[int, ...]]) -> None:
    broken = load("apothecary-sparse")
    with torch.no_grad():
        broken.down(2).get_parameter("weight")[:, 7] = torch.inf
    with pytest.raises(InputError, match=r"neuron L3\.N\d+: its activation is nan"):
        mean_activations(broken, prompts)


def test_nothing_to_read_and_a_span_beyond_a_prompt_are_errors(model: Model) -> None:
    with pytest.raises(InputError, match="0 prompts"):
        mean_activations(model, [])
    with pytest.raises(InputError, match="span 3 and 2 prompts, the shortest of 2 tokens"):
        mean_activations(model, [(5, 6, 7), (5, 6)], span=3)


def test_batches_hold_every_row_once_in_order(model: Model, prompts: list[tuple[int, ...]]) -> None:
    parts = list(batches(model, prompts, 10, left=True))
    rows = [
        tuple(ids[mask.bool()].tolist())
        for part in parts
        for ids, mask in zip(part.ids, part.mask, strict=True)
    ]
    assert [len(part.ids) for part in parts] == [10, 10, 3]
    assert rows == prompts == [row for part in parts for row in prompts[part.rows]]
