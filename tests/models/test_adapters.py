"""A folder with an adapter (PEFT) is its base with it merged in, or refused in one line."""

import json
import shutil
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fulcra.errors import InputError, ModelError
from fulcra.models import Model, load, world_of
from fulcra.models.adapters import ADAPTER, WEIGHTS
from fulcra.models.loading import config_of, model_folder
from fulcra.models.tiny import tiny
from fulcra.protocol.runs import adapter_entry, model_entry
from tests.models.cases import PROMPTS, logits_of

peft = pytest.importorskip("peft", reason="needs peft: pip install 'fulcra[defence]'")


def written(base: Model, name: str, folder: Path, rank: int = 2) -> torch.Tensor:
    """An adapter of random numbers on a base, written by peft; the logits of base and adapter."""
    config = peft.LoraConfig(r=rank, target_modules="all-linear")
    with warnings.catch_warnings(action="ignore"):
        adapted = peft.get_peft_model(base.hf, config)
    generator = torch.Generator().manual_seed(0)
    for key, weight in adapted.named_parameters():
        if "lora_" in key:
            weight.data = 0.1 * torch.randn(weight.shape, generator=generator)
    adapted.peft_config["default"].base_model_name_or_path = name
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return logits_of(base)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The folder of a tiny model."""
    model = tiny("llama")
    model.hf.save_pretrained(tmp_path / "base")
    model.tokenizer.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    """The folder of an adapter on the tiny model."""
    written(tiny("llama"), str(base), tmp_path / "adapter")
    return tmp_path / "adapter"


def changed(adapter: Path, **values: object) -> Path:
    """The adapter with some keys of its config put otherwise."""
    path = adapter / ADAPTER
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return adapter


def refusal(folder: Path) -> str:
    """The one line with which a folder is refused."""
    with pytest.raises(ModelError) as error:
        load(str(folder))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_with_an_adapter_is_the_base_with_it_merged_in(base: Path, tmp_path: Path) -> None:
    expected = written(tiny("llama"), str(base), tmp_path / "adapter")
    model, plain = load(str(tmp_path / "adapter")), load(str(base))
    torch.testing.assert_close(logits_of(model), expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits_of(model), logits_of(plain), atol=1e-2)
    assert [key for key, _ in model.hf.named_parameters()] == [
        key for key, _ in plain.hf.named_parameters()
    ]
    assert all(weight.requires_grad for weight in model.hf.parameters())
    assert sorted(path.name for path in base.iterdir()) == sorted(
        path.name for path in plain.folder.iterdir()
    )


def test_what_is_known_of_it_is_the_base_and_the_digest_of_the_adapter(
    adapter: Path, base: Path
) -> None:
    model, plain = load(str(adapter)), load(str(base))
    entry = adapter_entry(model)
    assert entry is not None
    assert entry.plain()["base_sha256"] == plain.sha256 != model.sha256
    assert (entry.rank, entry.base) == (2, "base")
    assert model_entry(model).plain()["adapter"] == entry.plain()
    assert "adapter" not in model_entry(plain).plain()
    assert model.origin.name == str(adapter)
    assert load(model.origin.name).sha256 == model.sha256
    assert config_of(str(adapter)).hidden_size == plain.d_model


def test_another_adapter_has_another_hash_and_a_moved_base_the_same(
    adapter: Path, base: Path, tmp_path: Path
) -> None:
    before = load(str(adapter)).sha256
    shutil.copytree(base, tmp_path / "moved")
    assert load(str(changed(adapter, base_model_name_or_path=str(tmp_path / "moved")))).sha256 == (
        before
    )
    assert load(str(changed(adapter, lora_alpha=3))).sha256 != before


def test_an_organism_is_a_base_by_its_name(tmp_path: Path) -> None:
    organism = load("apothecary-sparse", check=False)
    expected = written(organism, "apothecary-sparse", tmp_path / "mine", 4)
    model = load(str(tmp_path / "mine"))
    torch.testing.assert_close(logits_of(model, PROMPTS), expected, rtol=1e-3, atol=1e-3)
    assert world_of(str(tmp_path / "mine")) == world_of("apothecary-sparse")
    assert model.folder == model_folder("apothecary-sparse")


def test_the_tokenizer_beside_an_adapter_is_taken(adapter: Path) -> None:
    tiny("llama", chat_template="{{ messages[0].content }} w5").tokenizer.save_pretrained(adapter)
    assert load(str(adapter)).prompt_ids("w7") == (7, 5)


def test_an_adapter_without_its_base_is_refused(adapter: Path) -> None:
    line = refusal(changed(adapter, base_model_name_or_path="nowhere"))
    assert "its base cannot be loaded (model 'nowhere': no bundled organism" in line
    assert "adapter_config.json: no base_model" not in line
    assert "base_model_name_or_path: " in refusal(changed(adapter, base_model_name_or_path=None))


def test_an_adapter_for_another_shape_is_refused(adapter: Path, tmp_path: Path) -> None:
    wider = tiny("llama", intermediate_size=64)
    wider.hf.save_pretrained(tmp_path / "wider")
    wider.tokenizer.save_pretrained(tmp_path / "wider")
    line = refusal(changed(adapter, base_model_name_or_path=str(tmp_path / "wider")))
    assert "its adapter does not fit its base" in line
    assert "shape" in line


def test_an_adapter_for_another_family_is_refused(adapter: Path) -> None:
    assert "its adapter does not fit" in refusal(changed(adapter, target_modules=["c_attn"]))


def test_tensors_that_have_no_place_and_places_without_tensors_are_refused(adapter: Path) -> None:
    tensors = load_file(adapter / WEIGHTS)
    first = min(tensors)
    save_file({key: tensors[key] for key in tensors if key != first}, adapter / WEIGHTS)
    assert f"{WEIGHTS} lacks" in refusal(adapter)
    save_file({**tensors, f"{first}.more": torch.zeros(2)}, adapter / WEIGHTS)
    assert f"{WEIGHTS} holds" in refusal(adapter)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"peft_type": "IA3"}, "is IA3, expected a plain LORA"),
        ({"layer_replication": [[0, 2], [1, 3]]}, "is a LORA with layer_replication"),
        ({"init_lora_weights": "pissa"}, "begins from changed base weights"),
        ({"r": "many"}, "cannot be read: r: "),
        ({"of_the_future": 1}, "has of_the_future, which the installed peft does not know"),
    ],
)
def test_an_adapter_that_cannot_be_merged_is_refused(
    adapter: Path, values: dict[str, object], message: str
) -> None:
    assert message in refusal(changed(adapter, **values))


def test_an_adapter_without_safetensors_on_another_adapter_or_no_json_is_refused(
    adapter: Path, tmp_path: Path
) -> None:
    shutil.copytree(adapter, tmp_path / "second")
    line = refusal(changed(tmp_path / "second", base_model_name_or_path=str(adapter)))
    assert "is an adapter itself" in line
    (adapter / WEIGHTS).unlink()
    assert f"but no {WEIGHTS}" in refusal(adapter)
    (adapter / ADAPTER).write_text("{")
    assert "cannot be read" in refusal(adapter)


def test_without_peft_or_with_bits_an_adapter_is_refused(
    adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="bits 8: an adapter is merged into plain weights"):
        load(str(adapter), bits=8)
    monkeypatch.setitem(sys.modules, "peft", None)
    assert "is an adapter: needs peft: pip install 'fulcra[defence]'" in refusal(adapter)
