"""Neurons of mixtures: fused 3-D weights, edited on routed tokens only, whatever implementation
runs the experts.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fulcra.errors import InputError
from fulcra.models import Model, add, applied_rows, pin, scale
from fulcra.models.activations import activations, natural_extent
from fulcra.models.experts import expert_width, neuron_activation
from fulcra.models.read_hooks import Routed, mlp_inputs, mlp_outputs
from fulcra.models.tiny import tiny
from fulcra.types import Edits, Neuron
from tests.models.cases import MIXTURES, PROMPTS, logits_of, model_of, routed_neuron

IDS = torch.tensor([PROMPTS[0]])


def called(model: Model, layer: int, edits: Edits = ()) -> tuple[Routed, Tensor]:
    """What the experts of a layer got and wrote for the first prompt."""
    with (
        torch.no_grad(),
        applied_rows(model, edits, every_row=True),
        mlp_inputs(model, 1) as reads,
        mlp_outputs(model, 1) as wrote,
    ):
        model.hf(input_ids=IDS, use_cache=False)
    calls = reads[layer]
    assert isinstance(calls, Routed)
    return Routed(*(part[0] for part in calls)), wrote[layer][0]


def activation_by_hand(family: str, experts: Any, x: Tensor, expert: int, index: int) -> float:
    """One neuron's activation as the papers of the families define it."""
    width = experts.down_proj.shape[1 if family == "gpt_oss" else 2]
    if family != "gpt_oss":
        gate, up = (
            experts.gate_up_proj[expert, index] @ x,
            experts.gate_up_proj[expert, width + index] @ x,
        )
        return float(torch.nn.functional.silu(gate) * up)
    both = experts.gate_up_proj[expert].T @ x + experts.gate_up_proj_bias[expert]
    gate, up = both[2 * index].clamp(max=7.0), both[2 * index + 1].clamp(-7.0, 7.0)
    return float(gate * torch.sigmoid(1.702 * gate) * (up + 1))


@pytest.mark.parametrize("family", MIXTURES)
def test_an_activation_is_what_the_family_defines(family: str) -> None:
    model = model_of(family)
    experts = model.experts(0)
    calls, _ = called(model, 0)
    for expert, index in ((0, 0), (2, 5), (3, expert_width(experts) - 1)):
        result = neuron_activation(
            experts, calls.tokens[None], torch.tensor([expert]), torch.tensor([index])
        )[0]
        with torch.no_grad():
            assert result.tolist() == pytest.approx(
                [activation_by_hand(family, experts, x, expert, index) for x in calls.tokens],
                abs=1e-5,
            )


@pytest.mark.parametrize("family", MIXTURES)
def test_a_dose_writes_the_router_weight_times_the_column_on_routed_tokens_only(
    family: str,
) -> None:
    model, layer = model_of(family), 2
    neuron = routed_neuron(model, layer)
    calls, clean = called(model, layer)
    _, dosed = called(model, layer, (add(neuron, alpha=3.0),))
    weight = (calls.weights * (calls.expert_ids == neuron.expert)).sum(-1)
    assert 0 < int((weight > 0).sum()) < len(weight)
    assert_close(dosed - clean, 3.0 * weight[:, None] * model.write(neuron), rtol=1e-4, atol=1e-5)
    assert torch.equal(dosed[weight == 0], clean[weight == 0])


@pytest.mark.parametrize("family", MIXTURES)
def test_a_pin_holds_the_activation_at_its_value(family: str) -> None:
    model, layer = model_of(family), 2
    neuron = routed_neuron(model, layer)
    calls, clean = called(model, layer)
    _, pinned = called(model, layer, (pin(neuron, -2.0),))
    expert, index = torch.tensor([neuron.expert]), torch.tensor([neuron.index])
    natural = neuron_activation(model.experts(layer), calls.tokens[None], expert, index)[0]
    weight = (calls.weights * (calls.expert_ids == neuron.expert)).sum(-1)
    assert_close(
        pinned - clean,
        (weight * (-2.0 - natural))[:, None] * model.write(neuron),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("family", MIXTURES)
@pytest.mark.parametrize("implementation", ["eager", "batched_mm", "grouped_mm"])
def test_an_edit_does_not_depend_on_what_runs_the_experts(family: str, implementation: str) -> None:
    model = tiny(family)
    edits: Edits = (
        scale(routed_neuron(model, 0), -1.0),
        add(routed_neuron(model, 2, 6), alpha=2.0),
    )
    with applied_rows(model, edits, every_row=True):
        model.hf.config._experts_implementation = implementation
        result = logits_of(model)
    with applied_rows(model_of(family), edits, every_row=True):
        expected = logits_of(model_of(family))
    assert_close(result, expected, rtol=1e-4, atol=2e-5)


@torch.no_grad()
@pytest.mark.parametrize("family", MIXTURES)
def test_activations_stand_expert_by_expert_and_are_zero_where_a_token_is_not_routed(
    family: str,
) -> None:
    model = model_of(family)
    result = next(iter(activations(model, PROMPTS)))
    assert result.shape == (len(PROMPTS), model.n_layers, model.d_mlp)
    for layer in range(model.n_layers):
        experts = model.experts(layer)
        if experts is None:
            assert not result[:, layer, model.width(layer) :].any()
            continue
        by_expert = result[0, layer].unflatten(0, (model.n_experts, -1))
        calls, _ = called(model, layer)
        routed = set(calls.expert_ids[-1].tolist())
        assert {expert for expert in range(model.n_experts) if by_expert[expert].any()} == routed
        neuron = model.neuron(layer, int(result[0, layer].abs().argmax()))
        activation = neuron_activation(
            experts,
            calls.tokens[None, -1:],
            torch.tensor([neuron.expert]),
            torch.tensor([neuron.index]),
        )
        assert float(activation) == pytest.approx(
            float(result[0, layer, model.slot(neuron)]), rel=1e-5
        )


@torch.no_grad()
@pytest.mark.parametrize("family", MIXTURES)
def test_the_natural_extent_is_over_routed_tokens(family: str) -> None:
    model, layer = model_of(family), 2
    neuron = routed_neuron(model, layer)
    result = float(natural_extent(model, [PROMPTS[0]])[layer, model.slot(neuron)])
    calls, _ = called(model, layer)
    expert, index = torch.tensor([neuron.expert]), torch.tensor([neuron.index])
    natural = neuron_activation(model.experts(layer), calls.tokens[None], expert, index)[0]
    routed = (calls.expert_ids == neuron.expert).any(-1)
    routed[0] = False
    assert result == pytest.approx(float(natural[routed].abs().max()), rel=1e-5)


def test_a_neuron_of_a_mixture_names_its_expert() -> None:
    model = model_of("qwen3_moe")
    with pytest.raises(
        InputError,
        match=r"L0\.N3\+: layer 0 of tiny-qwen3_moe has experts 0-3; name one, as in L0\.N3\.E0",
    ):
        model.write(Neuron(0, 3))
    with pytest.raises(InputError, match="has experts 0-3"):
        model.write(Neuron(0, 3, expert=4))
    with pytest.raises(
        InputError, match=r"layer 1 of tiny-qwen3_moe has no experts; leave out \.E2"
    ):
        model.write(Neuron(1, 3, expert=2))
    with pytest.raises(InputError, match="neurons 0-23"):
        model.write(Neuron(0, 24, expert=1))
    assert Neuron.parse(str(model.neuron(0, 24 * 2 + 5, -1))) == Neuron(0, 5, -1, 2)


def test_one_neuron_of_two_experts_can_be_edited_in_one_row_but_not_twice() -> None:
    model = model_of("mixtral")
    with applied_rows(
        model,
        (scale(Neuron(1, 3, expert=0), 0.0), scale(Neuron(1, 3, expert=1), 0.0)),
        every_row=True,
    ) as applied:
        logits_of(model)
    assert applied.passes > 0
    with (
        pytest.raises(InputError, match="edited twice"),
        applied_rows(
            model, [(scale(Neuron(1, 3, expert=0), 0.0), pin(Neuron(1, 3, expert=0), 0.0))]
        ),
    ):
        pass
