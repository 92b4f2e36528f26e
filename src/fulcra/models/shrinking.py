"""A tiny random model of any config: sizes shrunk by their names, everything else left as it is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from fulcra.models.library import one_line, quiet_library
from fulcra.models.tiny import D_MLP, D_MODEL, LAYERS, shaken

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

#: Sizes of a tiny model, by the names that configs have for them.
SIZES: dict[int, str] = {
    LAYERS: "num_hidden_layers n_layer n_layers num_layers decoder_layers encoder_layers",
    D_MODEL: "hidden_size n_embd d_model dim dim_model embed_dim word_embed_proj_dim embedding_size"
    " emb_dim lru_width embedding_dim input_embedding_size output_embedding_size",
    D_MLP: "intermediate_size ffn_dim n_inner ffn_hidden_size dim_ff decoder_ffn_dim dff"
    " encoder_ffn_dim d_inner intermediate_size_mlp dense_intermediate_size mamba_d_ssm",
    24: "moe_intermediate_size shared_expert_intermediate_size expert_ffn_hidden_size",
    4: "rotary_dim num_attention_heads n_head n_heads num_heads decoder_attention_heads"
    " mamba_n_heads encoder_attention_heads linear_num_value_heads num_experts num_local_experts"
    " n_routed_experts moe_num_experts num_key_value_heads_global mamba_num_heads"
    " mamba_dt_rank swa_num_attention_heads zero_expert_num index_n_heads",
    2: "num_key_value_heads num_kv_heads linear_num_key_heads num_experts_per_tok moe_topk"
    " moe_k moe_top_k top_k_experts num_experts_per_token mamba_n_groups swa_num_key_value_heads"
    " n_groups index_topk",
    8: "head_dim d_kv v_head_dim qk_nope_head_dim qk_rope_head_dim linear_key_head_dim"
    " linear_value_head_dim global_head_dim swa_head_dim swa_v_head_dim index_head_dim"
    " mamba_d_state ssm_state_size mamba_chunk_size hidden_size_per_layer_input",
    16: "q_lora_rank kv_lora_rank o_lora_rank qk_head_dim mamba_d_head mamba_head_dim",
    1: "n_group topk_group n_shared_experts first_k_dense_replace bos_token_id",
    6: "sliding_window attention_window_size window_size attention_chunk_size",
    100: "vocab_size n_vocab vocab_size_per_layer_input",
    128: "max_position_embeddings n_positions n_ctx max_seq_len max_sequence_length seq_length",
}
_TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
TINY = {name: size for size, names in SIZES.items() for name in names.split()} | _TOKENS
#: Sizes that a few types make others of where they are not set.
_UNSET = {
    "head_dim": 8,
    "num_key_value_heads": 4,
    "n_shared_experts": 1,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
}
#: Settings that are as long as sizes, or no part of the model's shape; they decide no row.
_POSITIONS = ("rope_scaling", "rope_parameters")
_PACKING = ("quantization_config", "transformers_version")
#: Numbers of a model that is no longer tiny: its config has sizes under names of its own.
LARGEST = 20_000_000

Plain = dict[str, object]


def tiny_like(config: "PreTrainedConfig") -> "tuple[PreTrainedModel | None, str]":
    """A random float32 model of a config made tiny, shaken as `tiny` shakes it; or None, and why.

    Its flags and kinds of layers are those of the config, of which three layers stay: the first, a
    middle one and the last.
    """
    reason = "no config"
    for attempt in (_whole, _with_positions, _sizes_alone, _sizes_and_unset):
        try:
            with quiet_library():
                return _built(config, attempt(config)), ""
        except Exception as error:  # the library may fail at any line of a config it never had
            reason = one_line(error)
    return None, reason


def _whole(config: "PreTrainedConfig") -> Plain:
    """A config made tiny, its positions left to the library."""
    changes = _with_positions(config)
    return {key: value for key, value in changes.items() if key not in _POSITIONS}


def _with_positions(config: "PreTrainedConfig") -> Plain:
    """A config made tiny, with its own settings of positions."""
    changes = _shrunk(config, config.to_dict())
    return {key: value for key, value in changes.items() if key not in _PACKING}


def _sizes_and_unset(config: "PreTrainedConfig") -> Plain:
    """The sizes of a config made tiny, also those that are not set."""
    plain = config.to_dict()
    unset = {key: size for key, size in _UNSET.items() if plain.get(key, 0) is None}
    return _sizes_alone(config) | unset


def _built(config: "PreTrainedConfig", changes: Plain) -> "PreTrainedModel":
    from transformers import AutoModelForCausalLM

    config_class: Any = type(config)
    small = config_class(**changes)
    with torch.device("meta"):
        size = sum(p.numel() for p in AutoModelForCausalLM.from_config(small).parameters())
    if size > LARGEST:
        raise ValueError(f"{size} numbers after all known sizes were made small")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf: PreTrainedModel = AutoModelForCausalLM.from_config(small, dtype=torch.float32)
    shaken(hf, torch.Generator().manual_seed(0))
    with torch.no_grad():
        hf.eval()(input_ids=torch.arange(3, 9)[None], use_cache=False)
    return hf


def _names(config: "PreTrainedConfig") -> dict[str, str]:
    """A config's own names by the library's."""
    aliases: Mapping[str, str] = getattr(type(config), "attribute_map", {}) or {}
    return {own: usual for usual, own in aliases.items()}


def _size(config: "PreTrainedConfig", plain: Plain, key: str, value: object) -> object:
    """The tiny size of a key, or the value where it is no size."""
    tiny = TINY.get(key, TINY.get(_names(config).get(key, ""), None))
    if key in _TOKENS:
        return tiny
    if key == "num_key_value_heads" and value == plain.get("num_attention_heads"):
        return TINY["num_attention_heads"]
    if tiny is None or type(value) is not int or value == 0:
        return value
    return tiny


def _inner(config: "PreTrainedConfig", key: str, value: object) -> "PreTrainedConfig | None":
    """The config of a part, such as the text tower, where a key holds one."""
    from transformers import PreTrainedConfig

    inner = getattr(config, key, None) if isinstance(value, dict) else None
    return inner if isinstance(inner, PreTrainedConfig) else None


def _shrunk(config: "PreTrainedConfig", plain: Plain) -> Plain:
    """A config's values with sizes made tiny and lists of layers made short."""
    changes: Plain = {}
    own = {usual: name for name, usual in _names(config).items()}
    layers = plain.get(own.get("num_hidden_layers", "num_hidden_layers"))
    for key, value in plain.items():
        if (inner := _inner(config, key, value)) is not None:
            changes[key] = _shrunk(inner, inner.to_dict())
        elif isinstance(value, list) and len(value) == layers and len(value) > LAYERS:
            layers_left = (0, len(value) // 2, len(value) - 1)
            changes[key] = [_size(config, plain, key, value[i]) for i in layers_left]
        else:
            changes[key] = _size(config, plain, key, value)
    return changes


def _sizes_alone(config: "PreTrainedConfig") -> Plain:
    """The sizes of a config made tiny, nothing else set."""
    changes: Plain = {}
    plain = config.to_dict()
    for key, value in plain.items():
        if (inner := _inner(config, key, value)) is not None:
            changes[key] = _sizes_alone(inner)
        elif _size(config, plain, key, value) is not value or key in TINY:
            changes[key] = _size(config, plain, key, value)
    return {key: value for key, value in changes.items() if value is not None or key in _TOKENS}
