"""Interventions that are weight edits say what the model with edited weights says, in every family
where they are one.
"""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from fulcra.models import Model, ablate_direction, add, add_mlp, applied_rows, pin, scale
from fulcra.models.tiny import tiny
from fulcra.types import Edits, Neuron
from tests.models.cases import ALL, MIXTURES, POST_NORM, direction, logits_of

CLOSE = {"rtol": 1e-4, "atol": 2e-5}
DENSE = sorted(set(ALL) - set(MIXTURES))
#: Families whose stream takes nothing but the embeddings and what attention and MLP write, at no
#: other scale.
PLAIN = ["llama", "mistral", "qwen2", "qwen3", "phi3", "smollm3", "gpt2", "gpt_neox"]
NEURON = Neuron(1, 5)


def edited(model: Model, edits: Edits) -> Tensor:
    with applied_rows(model, edits, every_row=True) as applied:
        logits = logits_of(model)
    assert applied.passes > 0
    return logits


def column(model: Model, layer: int, index: int) -> Tensor:
    weight = model.down(layer).weight
    return weight[index] if model.family.transposed else weight[:, index]  # type: ignore[index]


def more_bias(model: Model, layer: int, vector: Tensor) -> None:
    down = model.down(layer)
    held = 0.0 if down.bias is None else down.bias.data  # type: ignore[union-attr]
    down.bias = nn.Parameter(held + vector)


@pytest.mark.parametrize("family", DENSE)
@pytest.mark.parametrize("factor", [0.0, -2.5, 3.0])
def test_scaling_equals_the_scaled_column(family: str, factor: float) -> None:
    model = tiny(family)
    clean, result = logits_of(model), edited(model, (scale(NEURON, factor),))
    with torch.no_grad():
        column(model, 1, 5).mul_(factor)
    assert_close(result, logits_of(model), **CLOSE)
    assert (result - clean).abs().max() > 1e-3


@pytest.mark.parametrize("family", DENSE)
def test_pinning_equals_the_zeroed_column_and_a_bias(family: str) -> None:
    model = tiny(family)
    result = edited(model, (pin(NEURON, 2.5),))
    more_bias(model, 1, 2.5 * model.write(NEURON))
    with torch.no_grad():
        column(model, 1, 5).zero_()
    assert_close(result, logits_of(model), **CLOSE)


@pytest.mark.parametrize("family", DENSE)
def test_a_vector_at_every_mlp_equals_its_bias(family: str) -> None:
    model = tiny(family)
    vectors = [direction(model, layer) for layer in range(model.n_layers)]
    clean, result = (
        logits_of(model),
        edited(model, tuple(add_mlp(vector, 0.5) for vector in vectors)),
    )
    for vector in vectors:
        more_bias(model, vector.layer, 0.5 * vector.vector)
    assert_close(result, logits_of(model), **CLOSE)
    assert (result - clean).abs().max() > 1e-2


@pytest.mark.parametrize("family", sorted(set(DENSE) - set(POST_NORM) - {"granite"}))
def test_a_vector_in_the_stream_is_one_at_the_mlp_where_no_norm_or_multiplier_follows(
    family: str,
) -> None:
    model = tiny(family)
    vector = direction(model, 1)
    assert_close(
        edited(model, (add(vector, alpha=0.7),)), edited(model, (add_mlp(vector, 0.7),)), **CLOSE
    )


@pytest.mark.parametrize("family", PLAIN)
def test_ablating_a_direction_equals_weights_that_cannot_write_it(family: str) -> None:
    model = tiny(family)
    vector = direction(model, 1)
    clean, result = logits_of(model), edited(model, (ablate_direction(vector),))
    unit = vector.vector / vector.vector.norm()
    original = copy.deepcopy(model.hf.state_dict())
    if model.hf.config.tie_word_embeddings:
        model.hf.lm_head.weight = nn.Parameter(
            model.hf.get_input_embeddings().weight.detach().clone()
        )  # type: ignore[union-attr]
    for name, weight in model.hf.state_dict().items():
        last = name.split(".")[-2]
        if any(part in last for part in ("embed_tokens", "embed_in", "wte", "wpe")) or (
            last == "c_proj" and model.family.transposed
        ):
            weight -= (weight @ unit)[..., None] * unit
        elif last in ("o_proj", "down_proj", "dense", "dense_4h_to_h"):
            weight -= (
                unit @ weight * unit if weight.dim() == 1 else torch.outer(unit, unit @ weight)
            )
    assert any(
        not torch.equal(original[name], weight) for name, weight in model.hf.state_dict().items()
    )
    assert_close(result, logits_of(model), **CLOSE)
    assert (result - clean).abs().max() > 1e-2
