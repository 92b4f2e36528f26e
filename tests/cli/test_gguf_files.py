"""GGUF files that are no model: each is refused in one line, most of them before anything loads."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from fulcra.models.loading import model_folder
from tests.cli.conftest import Call
from tests.models.gguf_writer import Kind, write_gguf
from tests.promptly import promptly

Change = Callable[[gguf.GGUFWriter], object]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An organism with a GGUF file of itself beside it."""
    folder = tmp_path_factory.mktemp("gguf") / "sparse"
    shutil.copytree(model_folder("apothecary-sparse"), folder)
    write_gguf(folder, folder / "a.gguf", Kind.Q8_0)
    return folder


@pytest.fixture
def mine(folder: Path, tmp_path: Path) -> Path:
    """A copy of the file, with the tokenizer beside it."""
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "a.gguf"):
        shutil.copy(folder / name, tmp_path / name)
    return tmp_path / "a.gguf"


def small(path: Path, architecture: str, change: Change = lambda writer: None) -> Path:
    """A file of an architecture with one tensor, and what `change` adds."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.add_embedding_length(32)
    writer.add_head_count(1)
    change(writer)
    writer.add_tensor("token_embd.weight", np.zeros((8, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def header(version: int = 3, tensors: int = 0, keys: int = 0, rest: bytes = b"") -> bytes:
    """The first bytes of a GGUF file."""
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + rest


def text(length: int, content: bytes = b"") -> bytes:
    """A text whose length need not be true."""
    return struct.pack("<Q", length) + content


KEY = text(1, b"a")
HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is no GGUF file"),
    "words": (b"this is a text file, whatever it is called\n" * 9, "starts with b'this'"),
    "a zip": (b"PK\3\4" + bytes(100), "is no GGUF file"),
    "magic alone": (b"GGUF", "ends within its header"),
    "version 1": (header(1), "version 1 of the format (old)"),
    "version of big-endian machines": (header(3 << 24), "written for big-endian machines"),
    "10^18 tensors": (header(tensors=10**18), "counts 1000000000000000000 tensors"),
    "10^18 keys": (header(keys=10**18), "counts 1000000000000000000 keys"),
    "a key of 2^63 bytes": (header(keys=1, rest=text(2**63)), "bytes of one text"),
    "a key past the end": (header(keys=1, rest=text(4096, b"a")), "ends within its header"),
    "a text of 2^63 bytes": (
        header(keys=1, rest=KEY + struct.pack("<I", 8) + text(2**63)),
        "bytes of one text",
    ),
    "a list of 2^62 texts": (
        header(keys=1, rest=KEY + struct.pack("<IIQ", 9, 8, 2**62)),
        "entries of its lists",
    ),
    "a list of 2 million texts that are not there": (
        header(keys=1, rest=KEY + struct.pack("<IIQ", 9, 8, 2_000_000)),
        "ends within its header",
    ),
    "2 million empty texts": (
        header(keys=1, rest=KEY + struct.pack("<IIQ", 9, 8, 2_000_000) + bytes(16_000_064)),
        "lacks general.architecture",
    ),
    "a list of lists": (header(keys=1, rest=KEY + struct.pack("<IIQ", 9, 9, 1)), "type 9"),
    "a value of no type": (header(keys=1, rest=KEY + struct.pack("<I", 99)), "type 99"),
    "a key twice": (
        header(keys=2, rest=(KEY + struct.pack("<II", 4, 1)) * 2),
        "the key 'a' twice",
    ),
    "a key that is no text": (header(keys=1, rest=text(1, b"\xff") + bytes(8)), "is broken"),
    "a tensor of 2^32 axes": (
        header(tensors=1, rest=KEY + struct.pack("<I", 2**32 - 1)),
        "axes of one tensor",
    ),
    "a tensor of 2^63 numbers": (
        header(tensors=1, rest=KEY + struct.pack("<IQIQ", 1, 2**63, 0, 0)),
        "it was cut off",
    ),
    "a tensor of no type": (
        header(tensors=1, rest=KEY + struct.pack("<IQIQ", 1, 32, 77, 0)),
        "quantization type 77",
    ),
    "a tensor twice": (
        header(tensors=2, rest=(KEY + struct.pack("<IQIQ", 1, 1, 0, 0)) * 2 + bytes(99)),
        "one tensor twice",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_header_that_cannot_be_meant_is_refused_at_once(
    fulcra: Call, tmp_path: Path, name: str
) -> None:
    content, message = HOSTILE[name]
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    with promptly():
        refusal = fulcra("check", path).refusal
    assert message in refusal
    assert refusal.startswith("fulcra: model ")


NO_MODEL: dict[str, tuple[str, Change, str]] = {
    "an encoder": ("bert", lambda writer: None, "an encoder, which predicts no next token (bert)"),
    "a projector": ("clip", lambda writer: None, "the part of a model that sees pictures"),
    "a control vector": ("controlvector", lambda writer: None, "it is a control vector"),
    "an adapter": ("llama", lambda writer: writer.add_type("adapter"), "it is an adapter"),
    "a family nobody reads": ("rwkv7", lambda writer: None, "no GGUF of the family 'rwkv7'"),
    "one part of three": (
        "llama",
        lambda writer: writer.add_uint16("split.count", 3),
        "one of 3 parts; join them",
    ),
    "scaled positions": (
        "llama",
        lambda writer: (
            writer.add_string("llama.rope.scaling.type", "yarn"),
            writer.add_float32("llama.rope.scaling.factor", 4.0),
        ),
        "its rotary positions are scaled (yarn)",
    ),
    "a size that is none": (
        "llama",
        lambda writer: writer.add_feed_forward_length(2**31),
        "llama.feed_forward_length 2147483648",
    ),
    "a text where a number belongs": (
        "llama",
        lambda writer: writer.add_string("llama.context_length", "long"),
        "llama.context_length 'long'",
    ),
}


@pytest.mark.parametrize("name", NO_MODEL)
def test_a_file_that_is_no_model_that_can_be_read_is_named(
    fulcra: Call, tmp_path: Path, name: str
) -> None:
    architecture, change, message = NO_MODEL[name]
    assert message in fulcra("audit", small(tmp_path / "a.gguf", architecture, change)).refusal


def test_a_vocabulary_without_weights_is_named(fulcra: Call, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert "a vocabulary and no weights" in fulcra("check", tmp_path / "a.gguf").refusal


@pytest.mark.parametrize("share", [0.001, 0.5, 0.9999])
def test_a_file_that_was_cut_off_says_so(fulcra: Call, mine: Path, share: float) -> None:
    data = mine.read_bytes()
    mine.write_bytes(data[: int(len(data) * share)])
    refusal = fulcra("audit", mine).refusal
    assert "download it again" in refusal
    assert "cut off" in refusal or "ends within its header" in refusal


def test_a_quantization_that_is_not_undone_is_named(fulcra: Call, tmp_path: Path) -> None:
    def change(writer: gguf.GGUFWriter) -> None:
        block = np.zeros((1, gguf.GGML_QUANT_SIZES[Kind.Q8_K][1]), np.uint8)
        writer.add_tensor("blk.0.ffn_up.weight", block, raw_dtype=Kind.Q8_K)

    refusal = fulcra("check", small(tmp_path / "a.gguf", "llama", change)).refusal
    assert "blk.0.ffn_up.weight is quantized as Q8_K" in refusal


def test_a_weight_that_is_missing_or_is_nobodys_is_named(
    fulcra: Call, folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "tokenizer.json", tmp_path)
    shutil.copy(folder / "tokenizer_config.json", tmp_path)
    left = write_gguf(folder, tmp_path / "a.gguf", leave_out="blk.3.ffn_down.weight")
    assert "the weights lack model.layers.3.mlp.down_proj.weight" in fulcra("check", left).refusal

    def change(writer: gguf.GGUFWriter) -> None:
        writer.add_tensor("blk.3.attn_q.bias", np.ones(128, np.float32))

    more = write_gguf(folder, tmp_path / "b.gguf", change=change)
    assert "it holds blk.3.attn_q.bias" in fulcra("check", more).refusal


def test_a_weight_that_is_not_finite_is_named(fulcra: Call, mine: Path) -> None:
    reader = gguf.GGUFReader(mine, "r+")
    norm = next(tensor for tensor in reader.tensors if tensor.name == "output_norm.weight")
    norm.data[7] = np.nan
    reader.data.flush()
    assert "model.norm.weight holds 1 of 128 numbers" in fulcra("check", mine).refusal


def test_a_chat_model_without_a_template_is_named(fulcra: Call, mine: Path) -> None:
    path = mine.rename(mine.with_name("a-Instruct.gguf"))
    (path.parent / "chat_template.jinja").unlink()
    refusal = fulcra("audit", path).refusal
    assert "a chat model by its name 'a-Instruct', without a chat template" in refusal


def test_a_file_without_a_tokenizer_says_what_to_put_beside_it(fulcra: Call, mine: Path) -> None:
    (mine.parent / "tokenizer.json").unlink()
    assert "put the model's tokenizer.json beside the file" in fulcra("check", mine).refusal


@pytest.mark.parametrize("name", ["none.gguf", "./a/none.gguf", "/none/none.gguf"])
def test_a_file_that_is_not_there_says_how_to_name_one(fulcra: Call, name: str) -> None:
    refusal = fulcra("audit", name).refusal
    assert "no such file; give the path of a .gguf file, or owner/name/file.gguf" in refusal


def test_a_file_that_the_hub_does_not_give_is_one_line(fulcra: Call) -> None:
    refusal = fulcra("check", "nobody/nothing/none.gguf").refusal
    assert "no such file, and the hub gives none" in refusal


def test_a_folder_of_a_gguf_alone_says_which_file_to_give(fulcra: Call, mine: Path) -> None:
    assert f"give the file, {mine}" in fulcra("check", mine.parent).refusal


def test_check_says_what_the_weights_are_and_prints_no_bar(fulcra: Call, mine: Path) -> None:
    left = fulcra("check", mine)
    assert (left.code, left.err) == (0, "")
    first = left.out.splitlines()[0]
    assert first.startswith("weights Q8_0 GGUF (58 Q8_0, 17 F32); activations are those of the de-")
    assert left.out.count("GGUF") == 1
