"""Broken model folders: each is refused in one line, in seconds, with nothing large allocated."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fulcra.models.loading import load, model_folder
from tests.cli.conftest import Call
from tests.promptly import promptly

Damage = Callable[[Path], None]
MLP = "model.layers.3.mlp.down_proj.weight"


def configured(**changes: Any) -> Damage:
    """Puts values into config.json."""

    def damage(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def replaced(file: str, content: bytes) -> Damage:
    """Puts other bytes into a file."""

    def damage(folder: Path) -> None:
        (folder / file).write_bytes(content)

    return damage


def changed(file: str, **changes: Any) -> Damage:
    """Puts values into a JSON file."""

    def damage(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def weighted(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    """Changes the weights."""

    def damage(folder: Path) -> None:
        path = folder / "model.safetensors"
        weights = load_file(path)
        change(weights)
        save_file(weights, path, metadata={"format": "pt"})

    return damage


def cut(share: float) -> Damage:
    """Leaves the first part of the weights' file."""

    def damage(folder: Path) -> None:
        path = folder / "model.safetensors"
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return damage


def spoilt(value: float) -> Damage:
    """Puts a number that is not finite into one weight."""
    return weighted(lambda weights: weights[MLP].view(-1)[7].fill_(value))


def index_of_nothing(folder: Path) -> None:
    """Names a shard that is not there."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = dict.fromkeys(weights, "model-00002-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": shards})
    )


def folder_as_weights(folder: Path) -> None:
    """A folder where the weights should be."""
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


def removed(file: str) -> Damage:
    """Takes a file out."""
    return lambda folder: (folder / file).unlink()


def renamed_layer(weights: dict[str, torch.Tensor]) -> None:
    """Puts the weights of one layer behind the last one."""
    for key in [key for key in weights if ".layers.2." in key]:
        weights[key.replace(".2.", ".8.")] = weights.pop(key)


BROKEN: dict[str, tuple[Damage, str]] = {
    "config empty": (replaced("config.json", b""), "config.json cannot be read: the file"),
    "config cut off": (replaced("config.json", b'{"model_type": "lla'), "cannot be read: the file"),
    "config a list": (replaced("config.json", b"[]"), "cannot be read: the file"),
    "config of NUL": (replaced("config.json", b"\0" * 100), "cannot be read: the file"),
    "config deep": (replaced("config.json", b'{"a":' * 100_000), "cannot be read"),
    "config of 8 MB": (replaced("config.json", b" " * (8 << 20)), "bytes, expected at most"),
    "no model_type": (configured(model_type=None), "config.json cannot be read"),
    "model_type a number": (configured(model_type=7), "model_type: Input should be a valid string"),
    "unknown model_type": (configured(model_type="nonsense"), "cannot be read"),
    "family without a row": (configured(model_type="mamba"), "has no row"),
    "no heads": (configured(num_attention_heads=0), "num_attention_heads: Input should be greater"),
    "no key heads": (configured(num_key_value_heads=0), "num_key_value_heads: Input should be"),
    "no layers": (configured(num_hidden_layers=0), "num_hidden_layers: Input should be greater"),
    "minus one layer": (configured(num_hidden_layers=-1), "num_hidden_layers: Input should be"),
    "layers in words": (configured(num_hidden_layers="eight"), "should be a valid integer"),
    "half a layer": (configured(num_hidden_layers=7.5), "should be a valid integer"),
    "layers true": (configured(num_hidden_layers=True), "should be a valid integer"),
    "hidden size in a list": (configured(hidden_size=[128]), "hidden_size: Input should be"),
    "epsilon in words": (configured(rms_norm_eps="small"), "rms_norm_eps"),
    "activation unknown": (configured(hidden_act="nonsense"), "nonsense"),
    "dtype unknown": (configured(dtype="float99"), "float99"),
    "rope in words": (configured(rope_parameters="none"), "model"),
    "1,000 layers": (configured(num_hidden_layers=1000), "config.json says 1000 layers"),
    "10 billion layers": (configured(num_hidden_layers=10**10), "num_hidden_layers: Input should"),
    "60 layers": (configured(num_hidden_layers=60), "config.json describes"),
    "12 layers": (configured(num_hidden_layers=12), "the weights lack model.layers.10."),
    "4 layers": (configured(num_hidden_layers=4), "the weights hold model.layers.4."),
    "hidden size huge": (configured(hidden_size=1 << 27), "by config.json"),
    "hidden size absurd": (configured(hidden_size=10**15), "hidden_size: Input should be less"),
    "MLP huge": (configured(intermediate_size=1 << 27), "by config.json"),
    "vocabulary huge": (configured(vocab_size=1 << 27), "(134217728, 128) by config.json"),
    "other MLP": (configured(intermediate_size=512), "by config.json"),
    "other heads": (configured(num_attention_heads=3), "not a multiple of the number"),
    "weight missing": (weighted(lambda weights: weights.pop(MLP)), f"the weights lack {MLP}"),
    "head missing": (weighted(lambda weights: weights.pop("lm_head.weight")), "lack lm_head"),
    "weight of other shape": (
        weighted(lambda weights: weights.update({MLP: torch.zeros(128, 100)})),
        f"{MLP} is (128, 100) in model.safetensors, (128, 384) by config.json",
    ),
    "weight transposed": (
        weighted(lambda weights: weights.update({MLP: weights[MLP].T.contiguous()})),
        f"{MLP} is (384, 128) in the weights, (128, 384) by config.json",
    ),
    "layer renamed": (weighted(renamed_layer), "the weights lack model.layers.2."),
    "bias nobody reads": (
        weighted(lambda weights: weights.update({MLP.replace("weight", "bias"): torch.ones(128)})),
        "the weights hold model.layers.3.mlp.down_proj.bias",
    ),
    "nan": (spoilt(float("nan")), f"{MLP} holds 1 of 49152 numbers that are nan or infinite"),
    "infinity": (spoilt(float("inf")), f"{MLP} holds 1 of 49152"),
    "weights cut off": (cut(0.5), "model.safetensors is broken"),
    "header cut off": (cut(0.0001), "model.safetensors is broken"),
    "weights empty": (replaced("model.safetensors", b""), "model.safetensors is broken"),
    "weights a pointer": (
        replaced("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"),
        "model.safetensors is broken",
    ),
    "header absurd": (
        replaced("model.safetensors", struct.pack("<Q", 1 << 62) + b"{}"),
        "model.safetensors is broken",
    ),
    "weights a folder": (folder_as_weights, "model.safetensors is no file"),
    "weights gone": (removed("model.safetensors"), "expected *.safetensors"),
    "shard gone": (index_of_nothing, "cannot be loaded"),
    "tokenizer garbage": (replaced("tokenizer.json", b"garbage"), "its tokenizer is broken"),
    "tokenizer a list": (replaced("tokenizer.json", b"[]"), "its tokenizer is broken"),
    "tokenizer empty": (replaced("tokenizer.json", b"{}"), "its tokenizer is broken"),
    "tokenizer gone": (removed("tokenizer.json"), "its tokenizer is broken"),
    "tokenizer settings garbage": (replaced("tokenizer_config.json", b"\xff"), "is broken"),
    "tokenizer of another model": (
        changed(
            "tokenizer.json", model={"type": "WordLevel", "vocab": {"a": 9999}, "unk_token": "a"}
        ),
        "its largest token id is 9999, the model has ids 0 to 522",
    ),
    "chat template broken": (replaced("chat_template.jinja", b"{% for %}"), "chat template"),
    "generation garbage": (
        replaced("generation_config.json", b"{"),
        "its generation_config.json cannot be read",
    ),
    "generation a list": (replaced("generation_config.json", b"[1]"), "generation_config.json"),
    "end token in words": (changed("generation_config.json", eos_token_id="end"), "eos_token_id"),
    "end token beyond": (changed("generation_config.json", eos_token_id=9999), "eos_token_id"),
}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of a bundled organism that a test may damage."""
    return Path(shutil.copytree(model_folder("apothecary-sparse"), tmp_path / "mine"))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_is_refused_in_one_line_and_at_once(
    fulcra: Call, copied: Path, name: str
) -> None:
    damage, message = BROKEN[name]
    damage(copied)
    with promptly():
        refusal = fulcra("check", copied).refusal
    assert message in refusal
    assert refusal.startswith("fulcra: model ")


def test_a_config_that_makes_every_logit_nan_fails_the_check(fulcra: Call, copied: Path) -> None:
    configured(rms_norm_eps=-100.0)(copied)
    left = fulcra("check", copied)
    assert (left.code, left.err) == (1, "")
    assert "FAIL logits" in left.out
    left = fulcra("audit", copied)
    assert (left.code, left.out) == (1, "")
    assert "logits failed at model.norm" in left.line


def test_tied_weights_are_not_missing(copied: Path) -> None:
    def tie(weights: dict[str, torch.Tensor]) -> None:
        weights.pop("lm_head.weight")

    weighted(tie)(copied)
    configured(tie_word_embeddings=True)(copied)
    model = load(str(copied), check=False)
    assert model.hf.lm_head.weight is model.hf.model.embed_tokens.weight
