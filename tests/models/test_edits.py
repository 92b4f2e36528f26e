"""Laws of edits over shapes, positions and orders; families are in test_families.py."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close
from transformers import DynamicCache

from fulcra.errors import InputError
from fulcra.models import Model, add, applied_rows, pin, scale
from fulcra.models.checks import check, zeroed_column
from fulcra.models.tiny import tiny
from fulcra.types import Direction, Edits, Neuron, Positions
from tests.models.cases import PROMPTS, direction, logits_of, model_of, routed_neuron

SHAPES = st.fixed_dictionaries(
    {
        "hidden_size": st.sampled_from((8, 16, 40)),
        "intermediate_size": st.sampled_from((8, 16, 72)),
        "num_hidden_layers": st.integers(1, 4),
    }
)
ROWS = st.lists(
    st.lists(st.integers(3, 99), min_size=1, max_size=7).map(tuple), min_size=1, max_size=4
).map(tuple)


def shaped(family: str, shape: dict[str, int]) -> Model:
    heads = 2
    changes: dict[str, Any] = {
        **shape,
        "num_attention_heads": heads,
        "num_key_value_heads": 1,
        "head_dim": shape["hidden_size"] // heads,
    }
    if family == "gpt2":
        changes = {
            "n_embd": shape["hidden_size"],
            "n_inner": shape["intermediate_size"],
            "n_layer": shape["num_hidden_layers"],
            "n_head": heads,
        }
    return tiny(family, **changes)


@settings(max_examples=8)
@given(shape=SHAPES, rows=ROWS, place=st.integers(0, 2**16), factor=st.floats(-3, 3))
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "mixtral"])
def test_in_every_shape_rows_are_edited_apart_and_zero_is_the_zeroed_column(
    family: str, shape: dict[str, int], rows: tuple[tuple[int, ...], ...], place: int, factor: float
) -> None:
    model = shaped(family, shape)
    neuron = model.neuron(place % model.n_layers, place % model.d_mlp)
    clean = logits_of(model, rows)
    with applied_rows(model, [(scale(neuron, 1.0),)] * len(rows)):
        assert torch.equal(logits_of(model, rows), clean)
    edits: list[Edits] = [(scale(neuron, factor * i),) for i in range(len(rows))]
    with applied_rows(model, edits):
        result = logits_of(model, rows)
    with zeroed_column(model, neuron):
        assert_close(result[0], logits_of(model, rows)[0], rtol=1e-4, atol=1e-4)
    with applied_rows(model, edits[-1], every_row=True):
        assert_close(result[-1], logits_of(model, rows)[-1], rtol=1e-4, atol=1e-4)


@settings(max_examples=8)
@given(shape=SHAPES)
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "olmo2", "gpt_oss"])
def test_every_check_passes_in_every_shape(family: str, shape: dict[str, int]) -> None:
    assert [str(entry) for entry in check(shaped(family, shape)) if not entry.passed] == []


@settings(max_examples=15)
@given(first=st.floats(-4, 4), second=st.floats(-4, 4))
def test_doses_of_one_layer_add_up(first: float, second: float) -> None:
    model = model_of("llama")
    left, other = add(Neuron(1, 3), alpha=first), add(Neuron(1, 9), alpha=second)
    with applied_rows(model, (left, other), every_row=True):
        together = logits_of(model)
    vector = first * model.write(Neuron(1, 3)) + second * model.write(Neuron(1, 9))
    with applied_rows(model, (add(Direction(1, "both", vector), alpha=1.0),), every_row=True):
        assert_close(together, logits_of(model), rtol=1e-4, atol=1e-4)


def steps(model: Model, edits: Edits, tokens: int = 3) -> Tensor:
    """Logits [step, vocab] while three fixed tokens are decoded with a cache."""
    cache, out, ids = DynamicCache(config=model.hf.config), [], torch.tensor([PROMPTS[0]])
    with torch.no_grad(), applied_rows(model, edits, every_row=True):
        for token in range(tokens):
            out.append(model.hf(input_ids=ids, past_key_values=cache, use_cache=True).logits[0, -1])
            ids = torch.tensor([[20 + token]])
    return torch.stack(out)


@pytest.mark.parametrize("family", ["llama", "gemma2", "opt", "mixtral"])
def test_positions_say_when_an_edit_acts(family: str) -> None:
    model = model_of(family)
    neuron = routed_neuron(model, 1)

    def moved(positions: Positions) -> list[bool]:
        return (
            (steps(model, (add(neuron, alpha=6.0, positions=positions),)) - clean).abs().amax(-1)
            > 1e-5
        ).tolist()

    clean = steps(model, ())
    assert moved("generated")[0] is False
    assert moved("prompt")[0] is moved("last")[0] is moved("all")[0] is True
    all_of_it = steps(model, (add(neuron, alpha=6.0),))
    assert_close(
        steps(model, (add(neuron, alpha=6.0, positions="prompt"),))[0], all_of_it[0], rtol=0, atol=0
    )
    vector = direction(model, 1)
    assert torch.equal(steps(model, (add(vector, alpha=1.0, positions="generated"),))[0], clean[0])


def test_under_last_only_the_last_prompt_token_is_edited() -> None:
    model, edit = model_of("llama"), pin(Neuron(0, 3), 5.0, positions="last")
    ids = torch.tensor([PROMPTS[0]])
    with torch.no_grad():
        clean = model.hf(input_ids=ids, use_cache=False).logits
        with applied_rows(model, (edit,), every_row=True):
            edited = model.hf(input_ids=ids, use_cache=False).logits
    assert torch.equal(edited[0, :-1], clean[0, :-1])
    assert not torch.equal(edited[0, -1], clean[0, -1])


def test_an_edit_counts_its_passes() -> None:
    model = model_of("llama")
    with applied_rows(model, (scale(Neuron(0, 3), 0.0),), every_row=True) as applied:
        assert applied.passes == 0
        logits_of(model)
        logits_of(model)
    assert applied.passes == 2


def test_gradients_flow_through_an_edited_model_and_weights_stay() -> None:
    model = model_of("llama")
    before = model.write(Neuron(1, 3)).clone()
    with applied_rows(model, (scale(Neuron(1, 3), 2.0),), every_row=True):
        loss = (
            model.hf(input_ids=torch.tensor([PROMPTS[0]]), use_cache=False).logits.square().mean()
        )
    loss.backward()
    assert model.hf.get_input_embeddings().weight.grad is not None  # type: ignore[union-attr]
    model.hf.zero_grad()
    assert torch.equal(model.write(Neuron(1, 3)), before)


def test_edits_that_cannot_be_meant_are_refused() -> None:
    model = model_of("llama")
    for edits, message in (
        ((scale(Neuron(3, 0), 0.0),), r"L3\.N0\+: tiny-llama has layers 0-2"),
        ((scale(Neuron(0, 48), 0.0),), r"L0\.N48\+: .* neurons 0-47"),
        (
            (scale(Neuron(0, 1), 0.0), pin(Neuron(0, 1, -1), 2.0)),
            "one neuron is edited twice in one row",
        ),
        ((add(Neuron(0, 1), gain=0.5),), "still in gain units"),
    ):
        with pytest.raises(InputError, match=message), applied_rows(model, [edits]):
            pass
    with pytest.raises(InputError, match=r"exactly one of gain= .* and alpha="):
        add(Neuron(0, 1))
