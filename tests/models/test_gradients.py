"""A neuron's gradient is what a small dose does to the scalar, in every family."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fulcra.errors import ModelError
from fulcra.models import Model, add, applied_rows
from fulcra.models.batches import padded, positions_of
from fulcra.models.gradients import Scalar, neuron_gradients
from fulcra.models.prefixes import Prefixed, Rows
from fulcra.models.tiny import tiny
from fulcra.types import Neuron
from tests.models.cases import ALL, PROMPTS, routed_neuron

#: Families of which every layer keeps the keys and values of all tokens, and nothing else.
SPLIT = {
    *("llama", "qwen2", "qwen3", "gemma", "phi3", "olmo2", "granite", "glm4", "smollm3"),
    *("gpt2", "gpt_neox", "opt", "mixtral", "qwen3_moe"),
}
EPSILON = 1e-2


def rows_of(prompts: tuple[tuple[int, ...], ...] = PROMPTS) -> Rows:
    ids, mask = padded(prompts, torch.device("cpu"), left=True)
    return Rows(ids, mask, mask.bool(), slice(-1, None))


def gradients(
    model: Model, rows: Rows, scalar: Scalar, shift: Tensor | None = None
) -> tuple[float, Tensor]:
    """The gradients of rows by themselves."""
    return neuron_gradients(Prefixed(model, rows), scalar, shift)


def contrast(logits: Tensor) -> Tensor:
    """A curved scalar of the last logits."""
    return (logits[:, 0, 5].double() - logits[:, 0, 7].double()).div(8).tanh().sum()


def dosed(model: Model, rows: Rows, neuron: Neuron, alpha: float) -> float:
    with torch.no_grad(), applied_rows(model, (add(neuron, alpha=alpha),), every_row=True):
        out = model.hf(
            input_ids=rows.ids,
            attention_mask=rows.mask,
            position_ids=positions_of(rows.mask),
            use_cache=False,
            logits_to_keep=1,
        )
    return float(contrast(out.logits))


@pytest.mark.parametrize("family", ALL)
def test_a_gradient_is_the_effect_of_a_small_dose(family: str) -> None:
    model = tiny(family)
    rows = rows_of(PROMPTS[:1])
    value, result = gradients(model, rows, contrast)
    assert value == pytest.approx(
        dosed(model, rows, Neuron(0, 0, expert=None if model.experts(0) is None else 0), 0.0)
    )
    for layer in range(model.n_layers):
        neuron = routed_neuron(model, layer)
        slope = (dosed(model, rows, neuron, EPSILON) - dosed(model, rows, neuron, -EPSILON)) / (
            2 * EPSILON
        )
        assert float(result[layer, model.slot(neuron)]) == pytest.approx(slope, rel=1e-2, abs=5e-4)


@pytest.mark.parametrize("family", ["llama", "gemma2", "mixtral"])
def test_a_shift_is_the_same_as_doses_on_all_its_neurons(family: str) -> None:
    model, rows = tiny(family), rows_of(PROMPTS[:1])
    neurons = [routed_neuron(model, layer, index) for layer in (0, 2) for index in (3, 7)]
    shift = torch.zeros(model.n_layers, model.d_mlp)
    for i, neuron in enumerate(neurons):
        shift[neuron.layer, model.slot(neuron)] = 0.5 * (i + 1)
    edits = tuple(add(neuron, alpha=0.5 * (i + 1)) for i, neuron in enumerate(neurons))
    with torch.no_grad(), applied_rows(model, edits, every_row=True):
        logits = model.hf(input_ids=rows.ids, attention_mask=rows.mask, use_cache=False).logits
    assert gradients(model, rows, contrast, shift)[0] == pytest.approx(
        float(contrast(logits[:, -1:])), abs=1e-5
    )


@pytest.mark.parametrize("family", ["llama", "gemma2", "mixtral"])
def test_under_a_shift_the_gradient_is_that_of_the_layers_it_moves(family: str) -> None:
    model, rows = tiny(family), rows_of(PROMPTS[:1])
    neuron, shift = routed_neuron(model, 1), torch.zeros(model.n_layers, model.d_mlp)
    shift[1, model.slot(neuron)] = 0.5
    result = gradients(model, rows, contrast, shift)[1]
    up, down = (shift.clone() for _ in range(2))
    up[1, model.slot(neuron)] += EPSILON
    down[1, model.slot(neuron)] -= EPSILON
    higher, lower = (gradients(model, rows, contrast, moved)[0] for moved in (up, down))
    slope = (higher - lower) / (2 * EPSILON)
    assert float(result[1, model.slot(neuron)]) == pytest.approx(slope, rel=1e-2, abs=5e-4)
    assert float(result[1].abs().sum()) > 0
    assert not result[[layer for layer in range(model.n_layers) if layer != 1]].any()
    assert not gradients(model, rows, contrast, torch.zeros_like(shift))[1].any()


@pytest.mark.parametrize("family", ALL)
def test_what_stands_before_a_shift_is_read_once_and_changes_no_gradient(family: str) -> None:
    model, rows = tiny(family), rows_of()
    late = torch.zeros_like(rows.acts)
    late[:, -2:] = rows.acts[:, -2:]
    rows = rows._replace(acts=late)
    split, whole = Prefixed(model, rows), Prefixed(model, rows)
    whole.cut = 0
    shift = torch.zeros(model.n_layers, model.d_mlp)
    shift[1] = 0.1
    for moved in (None, shift):
        (value, mine), (other, theirs) = (
            neuron_gradients(each, contrast, moved) for each in (split, whole)
        )
        assert value == pytest.approx(other, rel=1e-4, abs=1e-6)
        assert_close(mine, theirs, rtol=1e-3, atol=1e-6)
    # a layer that looks back a few tokens, or keeps a state, is read whole
    assert split.cut == (rows.ids.shape[1] - 2 if family in SPLIT else 0)


def test_a_model_that_would_say_something_else_after_a_prefix_is_read_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, rows = tiny("llama"), rows_of()
    late = torch.zeros_like(rows.acts)
    late[:, -1] = rows.acts[:, -1]
    forward = model.hf.forward

    def deaf(*args: Any, **more: Any) -> Any:
        return forward(*args, **{**more, "past_key_values": None})

    monkeypatch.setattr(model.hf, "forward", deaf)
    assert Prefixed(model, rows._replace(acts=late)).cut == 0


def test_a_batch_has_the_sum_of_its_rows_gradients() -> None:
    model = tiny("llama")
    single = [gradients(model, rows_of((prompt,)), contrast)[1] for prompt in PROMPTS]
    assert_close(
        gradients(model, rows_of(), contrast)[1],
        torch.stack(single).sum(0),
        atol=1e-5,
        rtol=1e-4,
    )


def test_a_model_leaves_a_gradient_as_it_came_in() -> None:
    model = tiny("llama")
    gradients(model, rows_of(), contrast)
    assert all(p.grad is None and p.requires_grad for p in model.hf.parameters())
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in model.hf.modules()
    )


def test_quantized_weights_are_refused_with_the_screens_that_still_run() -> None:
    model = tiny("llama")
    down = model.down(1)
    del down.weight
    down.weight = torch.zeros(32, 48, dtype=torch.int8)  # as a quantizing backend holds it
    with pytest.raises(
        ModelError,
        match=(
            r"model.layers.1.mlp.down_proj .* quantized or offloaded; load the model without bits"
        ),
    ):
        gradients(model, rows_of(), contrast)
