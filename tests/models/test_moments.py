"""Moments learnt batch by batch are those of all activations at once."""

import pytest
import torch

from fulcra.errors import InputError
from fulcra.models import Model, load
from fulcra.models.capture import activations
from fulcra.models.moments import activation_moments
from tests.models.cases import ALL, PROMPTS, model_of


@pytest.fixture(scope="module")
def model() -> Model:
    return load("apothecary-sparse")


@pytest.fixture(scope="module")
def prompts(model: Model) -> list[tuple[int, ...]]:
    return [tuple(5 + (11 * row + 3 * i) % 500 for i in range(3 + row % 5)) for row in range(23)]


def hooks(model: Model) -> int:
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.hf.modules())


def test_moments_are_those_of_all_activations(model: Model, prompts: list[tuple[int, ...]]) -> None:
    everything = torch.cat(list(activations(model, prompts)))
    found = activation_moments(model, prompts, batch=4)
    assert found.count == len(prompts)
    torch.testing.assert_close(found.mean, everything.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.variance, everything.var(0), rtol=1e-3, atol=1e-4)


def test_a_pass_ends_at_the_last_wanted_layer(model: Model, prompts: list[tuple[int, ...]]) -> None:
    ran: list[int] = []
    handles = [
        block.register_forward_hook(lambda *args, layer=layer: ran.append(layer))
        for layer, block in enumerate(model.blocks)
    ]  # type: ignore[misc]
    some = activation_moments(model, prompts, layers=[1, 3])
    for handle in handles:
        handle.remove()
    assert set(ran) == {0, 1, 2}
    torch.testing.assert_close(some.mean, activation_moments(model, prompts).mean[[1, 3]])


def test_hooks_are_gone_afterwards_and_after_an_exception(
    model: Model, prompts: list[tuple[int, ...]]
) -> None:
    before = hooks(model)
    activation_moments(model, prompts)
    with pytest.raises(IndexError):
        activation_moments(model, [(10**6,)])
    assert hooks(model) == before


def test_a_broken_activation_names_its_neuron(prompts: list[tuple[int, ...]]) -> None:
    broken = load("apothecary-sparse")
    with torch.no_grad():
        broken.down(2).get_parameter("weight")[:, 7] = torch.inf
    with pytest.raises(InputError, match=r"neuron L3\.N\d+: its activation is nan"):
        activation_moments(broken, prompts)


def test_nothing_to_read_is_an_error(model: Model) -> None:
    with pytest.raises(InputError, match="0 prompts"):
        activation_moments(model, [])


@pytest.mark.parametrize("family", ALL)
def test_moments_of_every_family_are_those_of_its_activations(family: str) -> None:
    model = model_of(family)
    seen = torch.cat(list(activations(model, PROMPTS)))
    found = activation_moments(model, PROMPTS, batch=3)
    torch.testing.assert_close(found.mean, seen.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.variance, seen.var(0), rtol=1e-3, atol=1e-5)
