"""A model is read and edited alike wherever its weights live and in whatever numbers."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from fulcra.errors import InputError, ModelCheckError, ModelError
from fulcra.models import Model, applied_rows, check, load
from fulcra.models.activations import activations, mean_activations
from fulcra.models.capture import stream
from fulcra.models.coordinate import coordinate
from fulcra.models.families import FAMILIES
from fulcra.models.placement import BACKENDS, quantization
from fulcra.models.tiny import tiny
from tests.models.cases import PROMPTS, logits_of, routed_neuron, row_edits

REPLIES = ((40, 50, 60), (70, 80), (3,), (15, 25, 35, 45))


def saved(model: Model, folder: Path) -> str:
    """A folder of the model, as from the hub, in shards of a few layers."""
    model.hf.save_pretrained(folder, max_shard_size="30KB")
    model.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "opt", "gpt_oss", "gemma3"])
def test_a_saved_model_loads_as_it_was(family: str, tmp_path: Path) -> None:
    model = tiny(family)
    again = load(saved(model, tmp_path))
    assert torch.equal(logits_of(again), logits_of(model))
    assert len(again.sha256) == 64


@pytest.mark.parametrize("device", ["cuda:99", "nowhere"])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    with pytest.raises(
        InputError,
        match=(
            f"device '{device}': torch cannot use it here .*; give cpu, or auto for what there is"
        ),
    ):
        load("apothecary-sparse", device=device)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "mixtral"])
def test_a_model_half_on_disk_is_read_and_edited_as_one_in_memory(
    family: str, tmp_path: Path
) -> None:
    model = tiny(family)
    size = sum(p.numel() * 4 for p in model.hf.parameters())
    placed = load(
        saved(model, tmp_path / "saved"),
        device="auto",
        memory={"cpu": int(0.6 * size)},
        offload_folder=tmp_path / "offloaded",
    )
    assert "disk" in placed.hf.hf_device_map.values()
    edits = row_edits(model)
    with applied_rows(placed, edits):
        result = logits_of(placed)
    with applied_rows(model, edits):
        assert_close(result, logits_of(model), rtol=1e-4, atol=2e-5)
    for layer in range(model.n_layers):
        neuron = routed_neuron(model, layer)
        assert torch.equal(placed.write(neuron), model.write(neuron))
        assert torch.equal(placed.writes(layer), model.writes(layer))
        here, there = (
            coordinate(each, stream(each, PROMPTS, REPLIES), neuron) for each in (model, placed)
        )
        assert there.dose(0.2).value == pytest.approx(here.dose(0.2).value, rel=1e-4)
    assert_close(
        next(iter(activations(placed, PROMPTS))),
        next(iter(activations(model, PROMPTS))),
        rtol=1e-4,
        atol=1e-5,
    )
    assert_close(
        mean_activations(placed, PROMPTS), mean_activations(model, PROMPTS), rtol=1e-4, atol=1e-5
    )
    assert all(entry.passed is not False for entry in check(placed))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_statistics_of_a_model_in_half_precision_are_in_float32(dtype: str, tmp_path: Path) -> None:
    model = tiny("llama")
    half = load(saved(model, tmp_path), dtype)
    assert half.dtype == getattr(torch, dtype)
    clean, exact = stream(half, PROMPTS, REPLIES), stream(model, PROMPTS, REPLIES)
    assert {
        values.dtype
        for values in (
            clean.norm,
            clean.unit_mean,
            clean.sample,
            half.writes(0),
            next(iter(activations(half, PROMPTS))),
        )
    } == {torch.float32}
    assert_close(clean.norm, exact.norm, rtol=2e-2, atol=0)


def test_an_unknown_dtype_and_a_number_of_bits_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"dtype 'fp8': expected one of float32, bfloat16, float16"
    ):
        load("apothecary-base", "fp8")
    with pytest.raises(InputError, match="bits 3: expected 8 or 4"):
        quantization(3)


def test_quantized_weights_without_a_backend_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ModelError,
        match=(
            "weights of 8 bits need a backend, and neither torchao nor bitsandbytes is installed:"
            " pip install torchao"
        ),
    ):
        quantization(8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [8, 4])
def test_quantized_weights_are_read_by_what_they_do(bits: int, tmp_path: Path) -> None:
    if not importlib.util.find_spec(BACKENDS[bits][0]):
        pytest.skip(f"needs {BACKENDS[bits][0]}")
    # groups of 4-bit weights are 128 wide
    model = tiny("llama", hidden_size=128, intermediate_size=256)
    quantized = load(saved(model, tmp_path), "bfloat16", bits=bits)
    state = {entry.name: entry.passed for entry in check(quantized)}
    assert state == {
        "d_mlp": True,
        "logits": True,
        "stream": True,
        "write": True,
        "zero": None,
        "identity": True,
        "applied": True,
    }
    near = torch.cosine_similarity(quantized.writes(1), model.writes(1), dim=-1)
    assert float(near.min()) > (0.99 if bits == 8 else 0.9)


def test_loading_checks_the_model_unless_told_not_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved(tiny("llama"), tmp_path)
    monkeypatch.setitem(
        FAMILIES, "llama", replace(FAMILIES["llama"], final_norm="model.layers.0.input_layernorm")
    )
    with pytest.raises(
        ModelCheckError, match=r"logits failed at model\.layers\.0\.input_layernorm"
    ):
        load(folder)
    assert [entry.name for entry in check(load(folder, check=False)) if not entry.passed] == [
        "logits"
    ]


@pytest.mark.filterwarnings("ignore")
def test_weights_that_do_not_fit_their_config_are_refused(tmp_path: Path) -> None:
    folder = saved(tiny("llama"), tmp_path)
    config = tmp_path / "config.json"
    config.write_text(
        config.read_text().replace('"intermediate_size": 48', '"intermediate_size": 64')
    )
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(folder)


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "opt", "mixtral", "gpt_oss"])
def test_a_model_on_an_accelerator_is_read_and_edited_as_on_the_cpu(
    family: str, tmp_path: Path
) -> None:
    model = tiny(family)
    placed = load(saved(model, tmp_path), "float32", device="cuda")
    edits = row_edits(model)
    with applied_rows(placed, edits):
        result = logits_of(placed).cpu()
    with applied_rows(model, edits):
        assert_close(result, logits_of(model), rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "mixtral"])
def test_a_model_split_over_two_devices_is_read_and_edited_as_one(
    family: str, tmp_path: Path
) -> None:
    model = tiny(family)
    size = sum(p.numel() * 4 for p in model.hf.parameters())
    placed = load(
        saved(model, tmp_path), "float32", device="auto", memory={0: int(0.6 * size), "cpu": "1GB"}
    )
    assert len({str(device) for device in placed.hf.hf_device_map.values()}) > 1
    edits = row_edits(model)
    with applied_rows(placed, edits):
        result = logits_of(placed).cpu()
    with applied_rows(model, edits):
        assert_close(result, logits_of(model), rtol=1e-3, atol=1e-3)
    assert all(entry.passed is not False for entry in check(placed))
