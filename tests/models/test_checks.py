"""Validation refuses rows that do not describe the model, and names the module and the two
numbers.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch

from fulcra.errors import ModelCheckError, ModelError
from fulcra.models import Model, check
from fulcra.models.adapter import family_of
from fulcra.models.checks import validated, zeroed_column
from fulcra.models.families import FAMILIES
from fulcra.models.tiny import tiny
from fulcra.types import Neuron


def misread(model_type: str, **changes: Any) -> Model:
    """A tiny model under a changed family row."""
    model = tiny(model_type)
    model.family = replace(FAMILIES[model_type], **changes)
    return model


@pytest.mark.parametrize(
    ("model_type", "changes", "message"),
    [
        (
            "llama",
            {"down": "mlp.up_proj"},
            (
                r"d_mlp failed at model\.layers\.0\.mlp\.up_proj: .* found 32, expected 48; this is"
                r" the input"
            ),
        ),
        (
            "llama",
            {"down": "self_attn.o_proj"},
            r"d_mlp failed at model\.layers\.0\.self_attn\.o_proj: .* found 32, expected 48",
        ),
        (
            "gemma2",
            {"post_norm": None},
            (
                r"write failed at model\.layers\.\d\.mlp\.down_proj: .* expected at most 0\.0001;"
                r" multiplier"
            ),
        ),
        (
            "gemma2",
            {"logits": None},
            r"logits failed at model\.norm: final norm and unembedding give the logits",
        ),
        ("granite", {"logits": None}, r"logits failed at model\.norm"),
        ("cohere2", {"logits": None}, r"logits failed at model\.norm"),
        (
            "glm4",
            {"post_norm": "post_self_attn_layernorm"},
            r"write failed at model\.layers\.\d\.mlp\.down_proj",
        ),
        (
            "llama",
            {"final_norm": "model.layers.0.input_layernorm"},
            r"logits failed at model\.layers\.0\.input_layernorm",
        ),
        (
            "llama",
            {"mlp_reads": "input_layernorm"},
            (
                r"stream failed at model\.layers\.\d\.input_layernorm: the MLP reads the block's"
                r" output without its MLP"
            ),
        ),
        (
            "cohere2",
            {"mlp_reads": "mlp"},
            r"stream failed at model\.layers\.\d\.mlp: the MLP reads the block's input",
        ),
        (
            "qwen3_moe",
            {"expert_width": "intermediate_size"},
            r"d_mlp failed at model\.layers\.0\.mlp\.experts: .* found 24, expected 48",
        ),
    ],
    ids=[
        "output",
        "attention",
        "no post norm",
        "no softcap",
        "no divisor",
        "no scale",
        "other norm",
        "final norm",
        "reads before attention",
        "reads past the norm",
        "expert width",
    ],
)
def test_a_wrong_row_is_refused_with_the_module_and_two_numbers(
    model_type: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelCheckError, match=message):
        validated(misread(model_type, **changes))


def test_a_wrong_path_is_answered_with_what_there_is() -> None:
    with pytest.raises(
        ModelError,
        match=(
            r"LlamaDecoderLayer has no 'mlp\.c_proj' \(`down` of the llama row .* it has self_attn,"
            r" .* mlp\.down_proj"
        ),
    ):
        validated(misread("llama", down="mlp.c_proj"))


def test_an_unknown_family_is_told_what_a_row_must_name() -> None:
    with pytest.raises(
        ModelError,
        match=(
            r"'mamba' has no row .*known: cohere2, .*; looked for the decoder blocks, the MLP down"
            r" projection, .*: add a Family"
        ),
    ):
        family_of("mamba")


def test_a_stream_normalized_in_place_is_refused() -> None:
    with pytest.raises(
        ModelError, match="do_layer_norm_before is False, the opt row describes True only"
    ):
        tiny("opt", do_layer_norm_before=False)


def test_an_edit_that_never_reaches_the_model_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # as after torch.compile, or in a server that calls forward() itself: modules run without their
    # hooks
    model = tiny("llama")
    for block in model.blocks:
        mlp: Any = block.mlp
        monkeypatch.setattr(
            mlp,
            "forward",
            lambda x, mlp=mlp: mlp.down_proj.forward(mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x)),
        )
    with pytest.raises(
        ModelCheckError,
        match=(
            r"no hook ran at model\.layers\.0\.mlp\.down_proj, 0 of 3 layers were read; the model"
            r" is compiled"
        ),
    ):
        validated(model)


@pytest.mark.slow
def test_a_compiled_model_is_found_out() -> None:
    # pytorch #117758: hooks put on after tracing are ignored
    model = tiny("llama")
    model.hf.compile(backend="eager")
    with torch.no_grad():
        model.hf(input_ids=torch.arange(3, 9)[None], use_cache=False)
    with pytest.raises(ModelCheckError, match=r"no hook ran at|applied failed at"):
        validated(model)


def test_a_column_is_restored_bit_by_bit_also_after_an_exception() -> None:
    for family in ("llama", "gpt2", "mixtral", "gpt_oss"):
        model = tiny(family)
        before = {name: tensor.clone() for name, tensor in model.hf.state_dict().items()}
        neuron = Neuron(1, 5, expert=2 if model.n_experts else None)
        with zeroed_column(model, neuron):
            assert float(model.write(neuron).norm()) == 0
        with pytest.raises(RuntimeError, match="mine"), zeroed_column(model, neuron):
            raise RuntimeError("mine")
        assert all(
            torch.equal(tensor, before[name]) for name, tensor in model.hf.state_dict().items()
        )


def test_checking_leaves_the_weights_as_they_were() -> None:
    model = tiny("gemma2")
    before = model.sha256
    del model.__dict__["sha256"]
    check(model)
    assert model.sha256 == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "granite", "mixtral", "gpt_oss"])
def test_checks_pass_in_half_precision(family: str, dtype: torch.dtype) -> None:
    model = tiny(family)
    model.hf.to(dtype)
    assert [str(entry) for entry in check(model) if not entry.passed] == []
