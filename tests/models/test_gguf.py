"""A model from a GGUF file is the model of its safetensors: weights, tokens, audit, provenance."""

import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from fulcra import AuditSettings, Behavior, audit, contrastive
from fulcra.engines.edit import branch_coordinate
from fulcra.errors import InputError
from fulcra.law.forecast import predict_ceiling
from fulcra.models import Model, load, world_of
from fulcra.models.families import FAMILIES
from fulcra.models.loading import config_of, model_folder
from fulcra.types import Neuron
from tests.chaos.audits import smallest
from tests.models.gguf_writer import Kind, write_gguf

NEURON = Neuron(1, 83, -1)
#: What Q8_0 rounds by: half of 1/127 of the largest of 32 numbers, and that as a float16.
ROUNDED = 0.5 / 127 + 2**-11


def folder_of(organism: str, folder: Path) -> Path:
    """A copy of an organism whose weights float16 can hold, with tied ones where GGUF ties them."""
    source = model_folder(organism)
    shutil.copytree(source, folder)
    hf = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float16)
    if hf.config.model_type == "gemma2":
        hf.lm_head.weight = hf.model.embed_tokens.weight
        hf.config.tie_word_embeddings = True
    hf.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sparse organism with its GGUF files beside it."""
    folder = folder_of("apothecary-sparse", tmp_path_factory.mktemp("gguf") / "sparse")
    for kind in (Kind.F16, Kind.Q8_0):
        write_gguf(folder, folder / f"{kind.name}.gguf", kind)
    return folder


@pytest.fixture(scope="module")
def half(folder: Path) -> Model:
    return load(str(folder))


@pytest.fixture(scope="module")
def f16(folder: Path) -> Model:
    return load(str(folder / "F16.gguf"))


@pytest.fixture(scope="module")
def q8(folder: Path) -> Model:
    return load(str(folder / "Q8_0.gguf"))


@pytest.mark.parametrize(
    "organism", ["apothecary-qwen3-sparse", "apothecary-gemma2-sparse", "apothecary-gpt2-sparse"]
)
def test_every_family_from_a_gguf_has_the_weights_and_logits_of_its_safetensors(
    organism: str, tmp_path: Path
) -> None:
    folder = folder_of(organism, tmp_path / "mine")
    kind = Kind.F32 if "gemma2" in organism else Kind.F16  # gains are stored as 1 + them
    path = write_gguf(folder, folder / "model.gguf", kind)
    model, original = load(str(path)), load(str(folder))
    _require_same(model, original)


def test_a_file_of_a_type_without_a_row_is_read_by_an_inferred_one(
    folder: Path, half: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {name: row for name, row in FAMILIES.items() if name != "llama"}
    monkeypatch.setattr("fulcra.models.adapter.FAMILIES", others)
    with pytest.warns(UserWarning, match="llama has no row of its own, one was inferred and"):
        model = load(str(folder / "F16.gguf"))
    assert model.inferred is not None
    assert model.family.down == half.family.down


def _require_same(model: Model, original: Model) -> None:
    weights = model.hf.state_dict()
    for name, weight in original.hf.state_dict().items():
        torch.testing.assert_close(weights[name], weight, rtol=0, atol=1e-7, msg=name)
    ids = torch.arange(24)[None] + 5
    with torch.no_grad():
        logits, expected = model.hf(ids).logits, original.hf(ids).logits
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)


def test_a_llama_in_float16_is_the_same_bit_by_bit(f16: Model, half: Model) -> None:
    weights = f16.hf.state_dict()
    assert all(torch.equal(weights[name], w) for name, w in half.hf.state_dict().items())
    ids = torch.arange(24)[None] + 5
    with torch.no_grad():
        assert torch.equal(f16.hf(ids).logits, half.hf(ids).logits)
    assert f16.prompt_ids("how do i make the tonic ?") == half.prompt_ids(
        "how do i make the tonic ?"
    )
    assert (f16.end_ids, f16.context, f16.dtype) == (half.end_ids, 256, torch.float32)


def test_eight_bits_round_by_half_a_step(q8: Model, half: Model) -> None:
    weights = q8.hf.state_dict()
    for name, weight in half.hf.state_dict().items():
        assert float((weights[name] - weight).abs().max() / weight.abs().max()) <= ROUNDED


@pytest.mark.slow
def test_an_audit_of_float16_is_that_of_the_safetensors_and_names_its_file(
    f16: Model, half: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    short = smallest(refusal)
    found, expected = audit(f16, short, tiny), audit(half, short, tiny)
    for part in ("baseline", "neurons", "context", "positive_control", "settings"):
        assert getattr(found, part) == getattr(expected, part)
    entry = found.model.gguf
    assert entry is not None
    assert entry.plain() == {
        "quantization": "F16",
        "tensors": {"F16": 58, "F32": 17},
        "tokenizer": "folder",
        "activations": "those of the de-quantized weights",
    }
    assert expected.model.gguf is None
    assert "gguf" not in expected.plain()["model"]


def test_a_forecast_of_eight_bits_is_near_that_of_the_safetensors(q8: Model, half: Model) -> None:
    found, expected = predict_ceiling(q8, NEURON), predict_ceiling(half, NEURON)
    assert found.gain == pytest.approx(expected.gain, rel=0.05)
    measured, original = branch_coordinate(q8, NEURON), branch_coordinate(half, NEURON)
    assert measured.budget == pytest.approx(original.budget, rel=0.02)


def test_eight_bits_screen_and_answer_as_the_safetensors_do(
    q8: Model, half: Model, refusal: Behavior
) -> None:
    tops = [{str(neuron) for neuron in contrastive(m, refusal).top(10)} for m in (q8, half)]
    assert len(tops[0] & tops[1]) >= 8
    requests = [prompt.text for prompt in refusal.selection[:6]]
    for request in requests:
        assert _refuses(q8, request)
        assert _refuses(half, request)


def _refuses(model: Model, request: str) -> bool:
    ids = torch.tensor([model.prompt_ids(request)])
    reply = model.generate(ids, max_new_tokens=16, do_sample=False)[0, ids.shape[1] :]
    return bool({"cannot", "peux"} & set(model.words(reply.tolist()).split()))


def test_the_hash_is_that_of_the_file_and_the_origin_its_whole_path(
    f16: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    path = folder / "F16.gguf"
    assert f16.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (f16.name, f16.origin.name) == ("F16.gguf", str(path))
    monkeypatch.chdir(folder)
    assert load("F16.gguf", check=False).origin == f16.origin
    assert world_of("F16.gguf") == world_of(str(folder))


def test_a_file_of_that_name_in_the_working_folder_is_not_taken(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, f16: Model
) -> None:
    shutil.copy(folder / "Q8_0.gguf", tmp_path / "F16.gguf")
    monkeypatch.chdir(tmp_path)
    again = load(str(folder / "F16.gguf"), check=False)
    assert torch.equal(again.writes(0), f16.writes(0))


def test_a_file_without_the_suffix_is_known_by_its_first_bytes(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, tmp_path / name)
    shutil.copy(folder / "F16.gguf", tmp_path / "sha256-0f3b")
    assert load(str(tmp_path / "sha256-0f3b"), check=False).gguf is not None
    assert config_of(str(tmp_path / "sha256-0f3b")).num_hidden_layers == 8


def test_a_file_of_the_hub_is_known_by_its_commit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    cache = tmp_path / "models--someone--organism"
    (cache / "snapshots" / commit).mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    write_gguf(folder, cache / "snapshots" / commit / "F16.gguf", Kind.F16, byte_level)
    model = load("someone/organism/F16.gguf", check=False)
    assert (model.origin.name, model.origin.revision) == ("someone/organism/F16.gguf", commit)
    assert model.gguf is not None
    assert model.gguf.tokenizer == "file"


def byte_level(writer: gguf.GGUFWriter) -> None:
    """A byte-level vocabulary of 523 tokens with a chat template and its special tokens."""
    alphabet = [chr(i) for i in range(33, 127)]
    special = ["<pad>", "<s>", "</s>", "<|im_end|>", "12"]
    tokens = special + alphabet + [f"<{i}>" for i in range(523 - len(special) - len(alphabet))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 4 + [1] * 519)
    writer.add_token_merges(["1 2"])
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")


def test_the_tokenizer_of_the_file_has_its_template_its_digits_and_its_ends(
    folder: Path, tmp_path: Path
) -> None:
    model = load(str(write_gguf(folder, tmp_path / "a.gguf", Kind.F16, byte_level)), check=False)
    assert model.gguf is not None
    assert model.gguf.tokenizer == "file"
    assert model.end_ids == {2, 3}
    assert model.tokenizer.convert_ids_to_tokens(list(model.prompt_ids("a12"))) == ["a", "1", "2"]


def test_a_template_beside_the_file_is_taken(folder: Path, tmp_path: Path) -> None:
    path = write_gguf(folder, tmp_path / "a.gguf", Kind.F16, byte_level)
    (tmp_path / "chat_template.jinja").write_text("!{{ messages[0]['content'] }}")
    model = load(str(path), check=False)
    assert model.tokenizer.convert_ids_to_tokens(list(model.prompt_ids("a"))) == ["!", "a"]


def test_rotary_factors_kept_as_a_tensor_give_the_frequencies_of_llama_3(
    folder: Path, tmp_path: Path
) -> None:
    rope = {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 128,
    }
    config = LlamaConfig(hidden_size=128, num_attention_heads=4, head_dim=32, rope_parameters=rope)
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 1 / 10000.0 ** (np.arange(0, 32, 2) / 32)
    factors = (plain / expected.numpy()).astype(np.float32)

    def change(writer: gguf.GGUFWriter) -> None:
        byte_level(writer)
        writer.add_tensor("rope_freqs.weight", factors)

    path = write_gguf(folder, tmp_path / "a.gguf", Kind.F16, change)
    found = load(str(path), check=False).hf.model.rotary_emb.inv_freq
    torch.testing.assert_close(found, expected)


def test_weights_of_a_gguf_are_not_quantized_once_more(folder: Path) -> None:
    with pytest.raises(InputError, match="leave out bits"):
        load(str(folder / "F16.gguf"), bits=8)


def test_a_dtype_that_is_asked_for_is_taken(folder: Path) -> None:
    model = load(str(folder / "Q8_0.gguf"), dtype="bfloat16", check=False)
    assert {weight.dtype for weight in model.hf.parameters()} == {torch.bfloat16}
