"""The config of a GGUF file: what its metadata says, put right where the library drops a part."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fulcra.errors import ModelError
from fulcra.models.configs import MOST, MOST_LAYERS
from fulcra.models.gguf_header import GgufHeader
from fulcra.models.library import quiet_library, refusing

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

#: Sizes that the library builds from; any may be missing, or a list with one number a layer.
SIZES = (
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.key_length",
    "attention.value_length",
    "rope.dimension_count",
    "context_length",
    "vocab_size",
    "expert_count",
    "expert_feed_forward_length",
)
#: Sizes without which there is no model.
NEEDED = ("block_count", "embedding_length", "attention.head_count")
#: Files that are no language model, by their architecture.
NO_MODEL = {
    "clip": "the part of a model that sees pictures (mmproj)",
    "controlvector": "a control vector",
    "adapter": "an adapter",
}
#: Parts of architectures' names that stand for encoders.
ENCODER = re.compile(r"bert|t5encoder|embed|wavtokenizer")
#: The names under which tokens that end a turn are known, as llama.cpp reads them where the
#: metadata names one end alone.
TURN_ENDS = frozenset(
    "<|eot_id|> <|eom_id|> <|im_end|> <|end|> <end_of_turn> <|endoftext|> <EOT>"
    " <|return|> <|end_of_text|> <turn|>".split()
)
#: Gemma's largest models, by their layers, scale attention by a head's share of the stream, the
#: others by its width; no file says so, and llama.cpp too knows them by their layers.
WIDE_GEMMA = {"gemma2": 46, "gemma3": 62}
CONTROL = 3
#: Its rows are the vocabulary.
EMBEDDING = "token_embd.weight"


def require_model(name: str, header: GgufHeader) -> None:
    """ModelError where a file is no language model that the library reads, from its header."""
    from transformers.integrations.gguf.gguf_config_mapping import GGUF_CONFIG_ARCHS
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    what, architecture = f"model {name!r}: cannot be loaded", header.architecture
    if not architecture:
        raise ModelError(f"{what}: its metadata lacks general.architecture; convert the model anew")
    kind = header.text("general.type")
    other = NO_MODEL.get(architecture) or NO_MODEL.get(kind)
    if other is None and ENCODER.search(architecture):
        other = "an encoder, which predicts no next token"
    if other is not None:
        raise ModelError(f"{what}: it is {other} ({architecture}); give a GGUF of a decoder")
    if (parts := header.number("split.count") or 1) > 1:
        raise ModelError(
            f"{what}: it is one of {parts:g} parts; join them with `llama-gguf-split --merge`"
        )
    if not header.tensors:
        raise ModelError(f"{what}: it holds a vocabulary and no weights; give the model's own GGUF")
    names = {each.replace("_", "") for each in (*GGUF_SUPPORTED_ARCHITECTURES, *GGUF_CONFIG_ARCHS)}
    if architecture.replace("-", "").replace("_", "") not in names - {"general", "tokenizer"}:
        raise ModelError(
            f"{what}: transformers reads no GGUF of the family {architecture!r}; give its folder of"
            " safetensors"
        )
    _require_sizes(what, header)
    _require_scaling(what, header)


def _require_sizes(what: str, header: GgufHeader) -> None:
    """ModelError for a size that is missing or no model's; the library would build as much."""
    layers = header.size("block_count")
    for key in NEEDED:
        if f"{header.architecture}.{key}" not in header.values:
            raise ModelError(f"{what}: its metadata lacks {header.architecture}.{key}")
    if not layers or not 1 <= layers <= min(MOST_LAYERS, len(header.tensors)):
        raise ModelError(
            f"{what}: its metadata says {layers} layers, it holds {len(header.tensors)} tensors;"
            " download it again"
        )
    for key, size in _sizes(header):
        if not isinstance(size, int) or not 0 <= size <= MOST:
            raise ModelError(f"{what}: its metadata says {key} {size!r}; download it again")


def _sizes(header: GgufHeader) -> Iterator[tuple[str, object]]:
    """Every size of the metadata with its key, lists number by number."""
    for key in (f"{header.architecture}.{size}" for size in SIZES):
        value = header.values.get(key, 1)
        for each in value if isinstance(value, tuple) else (value,):
            yield key, each


def _require_scaling(what: str, header: GgufHeader) -> None:
    """ModelError for rotary positions that are stretched in a way the library would leave out."""
    kind = header.text(f"{header.architecture}.rope.scaling.type")
    plain = kind in ("", "none", "linear") or header.size("rope.scaling.factor") in (None, 1.0)
    factors = [each.name for each in header.tensors if each.name.startswith("rope_factors")]
    if (not plain and header.architecture != "gpt-oss") or factors:
        raise ModelError(
            f"{what}: its rotary positions are scaled ({kind or factors[0]}), which transformers"
            " does not read from a GGUF; give its folder of safetensors"
        )


def gguf_config(name: str, header: GgufHeader) -> "PreTrainedConfig":
    """The library's config of a file, with the numbers that it leaves at a class's default."""
    from transformers import AutoConfig

    place = header.path.absolute()
    with (
        refusing(f"model {name!r}: cannot be loaded: its metadata cannot be read"),
        quiet_library(),
    ):
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            place.parent, gguf_file=str(place), trust_remote_code=False
        )
        _correct(config, header)
    return config


def _correct(config: "PreTrainedConfig", header: GgufHeader) -> None:
    """Set what the metadata says and the library's table of keys passes over."""
    embedding = next((each for each in header.tensors if each.name == EMBEDDING), None)
    corrected = {
        "vocab_size": None if embedding is None else embedding.shape[0],
        "head_dim": None
        if header.architecture == "gemma4"
        else header.size("attention.key_length"),
        "n_positions": header.size("context_length"),
        "n_inner": header.size("feed_forward_length"),
        "attn_logit_softcapping": header.size("attn_logit_softcapping"),
        "final_logit_softcapping": header.size("final_logit_softcapping"),
    }
    for field, number in corrected.items():
        if number is not None and hasattr(config, field):
            setattr(config, field, number)
    if header.architecture in WIDE_GEMMA:
        wide = config.num_hidden_layers == WIDE_GEMMA[header.architecture]
        share = config.hidden_size // config.num_attention_heads
        config.query_pre_attn_scalar = share if wide else config.head_dim
    _correct_rope(config, header)
    for role in ("bos", "eos", "padding"):
        field = f"{'pad' if role == 'padding' else role}_token_id"
        token = header.number(f"tokenizer.ggml.{role}_token_id")
        setattr(config, field, None if token is None else int(token))


def _correct_rope(config: "PreTrainedConfig", header: GgufHeader) -> None:
    """Base, share and linear scaling of the rotary positions, as the metadata has them."""
    rope = getattr(config, "rope_parameters", None)
    if not isinstance(rope, dict) or header.architecture == "gemma4":
        return
    full = rope.get("full_attention", rope)
    if (base := header.size("rope.freq_base")) is not None:
        full["rope_theta"] = base
    if header.text(f"{header.architecture}.rope.scaling.type") == "linear":
        full |= {"rope_type": "linear", "factor": header.size("rope.scaling.factor") or 1.0}
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    turned = header.size("rope.dimension_count")
    if turned and full is rope and turned / width != rope.get("partial_rotary_factor", 1.0):
        rope["partial_rotary_factor"] = turned / width


def end_ids(header: GgufHeader) -> list[int]:
    """The tokens that end a reply: those the metadata names, and turn ends by their usual names."""
    ends = {
        int(token)
        for role in ("eos", "eot", "eom")
        if (token := header.number(f"tokenizer.ggml.{role}_token_id")) is not None
    }
    tokens, kinds = (header.values.get(f"tokenizer.ggml.{key}") for key in ("tokens", "token_type"))
    if isinstance(tokens, tuple) and isinstance(kinds, tuple):
        named = zip(tokens, kinds, strict=False)
        ends |= {
            i for i, (token, kind) in enumerate(named) if kind == CONTROL and token in TURN_ENDS
        }
    return sorted(ends)
