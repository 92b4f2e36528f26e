"""Checkpoints in the cache of a hub, in shards and packed: loaded as folders are, or refused."""

import importlib.util
import json
import os
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from fulcra.errors import ModelError
from fulcra.models import Model, load
from fulcra.models.adapters import ADAPTER
from fulcra.models.headers import INDEX
from fulcra.models.origin import Origin
from fulcra.models.placement import BACKENDS
from fulcra.models.tiny import tiny
from tests.models.cases import logits_of

NAME, COMMIT = "someone/tiny", "0123456789abcdef0123456789abcdef01234567"


def cached(model: Model, cache: Path) -> Path:
    """The snapshot of a model saved in shards, as the hub's client lays it out: links to blobs."""
    root = cache / f"models--{NAME.replace('/', '--')}"
    snapshot = root / "snapshots" / COMMIT
    model.hf.save_pretrained(snapshot, max_shard_size="30KB")
    model.tokenizer.save_pretrained(snapshot)
    for folder in ("blobs", "refs"):
        (root / folder).mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    for path in list(snapshot.iterdir()):
        path.rename(root / "blobs" / path.name)
        path.symlink_to(os.path.relpath(root / "blobs" / path.name, snapshot))
    return snapshot


def shards(snapshot: Path) -> list[Path]:
    return sorted(snapshot.glob("*.safetensors"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


@pytest.fixture
def snapshot(cache: Path) -> Path:
    return cached(tiny("llama"), cache)


def refusal() -> str:
    """The one line that the model of the hub is refused with."""
    with pytest.raises(ModelError) as error:
        load(NAME)
    line = str(error.value)
    assert "\n" not in line
    return line


def test_a_sharded_checkpoint_of_the_hub_is_the_model_that_was_saved(snapshot: Path) -> None:
    assert len(shards(snapshot)) > 1
    model = load(NAME)
    assert torch.equal(logits_of(model), logits_of(tiny("llama")))
    assert model.origin == Origin(NAME, COMMIT)
    assert model.sha256 == load(str(snapshot)).sha256


def test_a_file_that_the_index_does_not_name_is_not_read(snapshot: Path) -> None:
    (snapshot / "consolidated.safetensors").write_bytes(b"another layout of the same weights")
    assert torch.equal(logits_of(load(NAME)), logits_of(tiny("llama")))


def test_a_checkpoint_of_which_a_shard_was_never_downloaded_is_refused(snapshot: Path) -> None:
    shards(snapshot)[1].unlink()
    assert shards(snapshot)[0].exists()
    assert "cannot be loaded" in refusal()
    with pytest.raises(ModelError, match=r"model-00002-of-\d+.safetensors is no file"):
        load(str(snapshot))


def test_a_shard_of_another_shape_is_refused_before_it_is_read(snapshot: Path) -> None:
    for path in shards(snapshot):
        weights = load_file(path)
        key = next((key for key in weights if key.endswith("down_proj.weight")), None)
        if key is not None:
            path.unlink()
            save_file({**weights, key: torch.zeros(3, 5)}, path, metadata={"format": "pt"})
            break
    assert f"{key} is (3, 5) in {path.name}" in refusal()


def test_a_shard_with_a_number_that_is_nan_is_refused(snapshot: Path) -> None:
    path = shards(snapshot)[0]
    weights = load_file(path)
    key = min(weights)
    weights[key].view(-1)[0] = torch.nan
    path.unlink()
    save_file(weights, path, metadata={"format": "pt"})
    assert f"{key} holds 1 of" in refusal()


@pytest.mark.parametrize("shard", ["../../elsewhere.safetensors", "/tmp/model.safetensors"])
def test_an_index_that_leads_out_of_the_folder_is_refused(snapshot: Path, shard: str) -> None:
    written = json.loads((snapshot / INDEX).read_text())
    key = min(written["weight_map"])
    (snapshot / INDEX).write_text(
        json.dumps({**written, "weight_map": {**written["weight_map"], key: shard}})
    )
    assert f"names {shard!r}, which is no file of the folder" in refusal()


@pytest.mark.parametrize("content", ["[]", "{", '{"weight_map": {"a": 1}}', '{"weight_map": []}'])
def test_an_index_that_is_none_is_refused(snapshot: Path, content: str) -> None:
    (snapshot / INDEX).write_text(content)
    assert f"its {INDEX} is broken" in refusal()


def test_an_adapter_beside_a_model_is_refused_wherever_it_lies(snapshot: Path) -> None:
    (snapshot / ADAPTER).write_text(json.dumps({"base_model_name_or_path": "someone/else"}))
    assert "an adapter on a model that lies elsewhere; merge them" in refusal()
    with pytest.raises(ModelError, match="an adapter on a model that lies elsewhere"):
        load(str(snapshot))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [8, 4])
def test_a_checkpoint_of_the_hub_is_packed_as_it_is_loaded(cache: Path, bits: int) -> None:
    if not any(importlib.util.find_spec(backend) for backend in BACKENDS[bits]):
        pytest.skip(f"needs one of {', '.join(BACKENDS[bits])}: pip install {BACKENDS[bits][0]}")
    # groups of 4-bit weights are 128 wide
    snapshot = cached(tiny("llama", hidden_size=128, intermediate_size=256), cache)
    packed, in_folder = (
        load(NAME, "bfloat16", bits=bits),
        load(str(snapshot), "bfloat16", bits=bits),
    )
    assert packed.origin == Origin(NAME, COMMIT, bits=bits)
    assert packed.hf.config.quantization_config is not None
    assert torch.equal(logits_of(packed), logits_of(in_folder))


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_that_is_packed_already_is_loaded_and_a_broken_one_refused(
    cache: Path, tmp_path: Path
) -> None:
    if not importlib.util.find_spec("bitsandbytes"):
        pytest.skip("needs bitsandbytes: pip install bitsandbytes")
    cached(tiny("llama", hidden_size=128, intermediate_size=256), cache)
    packed, folder = load(NAME, "bfloat16", bits=4), tmp_path / "packed"
    packed.hf.save_pretrained(folder)
    packed.tokenizer.save_pretrained(folder)
    again = load(str(folder), "bfloat16")
    assert torch.equal(logits_of(again), logits_of(packed))
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file(dict(list(weights.items())[1:]), path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(str(folder), "bfloat16")
