"""Organisms written as GGUF files, as llama.cpp's converter would; nothing of fulcra is used."""

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig
from transformers.utils import logging

#: llama.cpp's names of the architectures of the bundled organisms.
ARCHITECTURES = {"llama": "llama", "qwen3": "qwen3", "gemma2": "gemma2", "gpt2": "gpt2"}
logging.disable_progress_bar()
Kind = gguf.GGMLQuantizationType
FILE_TYPES = {
    Kind.F32: gguf.LlamaFileType.ALL_F32,
    Kind.F16: gguf.LlamaFileType.MOSTLY_F16,
    Kind.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
}


def write_gguf(
    folder: Path,
    path: Path,
    kind: gguf.GGMLQuantizationType = Kind.F16,
    change: Callable[[gguf.GGUFWriter], object] | None = None,
    leave_out: str | None = None,
) -> Path:
    """The model of a folder as a GGUF file, its matrices of one type; returns its path.

    `change` adds what else the file should say; tensors named `leave_out` are not written.
    """
    hf = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config, architecture = hf.config, ARCHITECTURES[hf.config.model_type]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_file_type(FILE_TYPES[kind])
    _describe(writer, architecture, config)
    if change is not None:
        change(writer)
    names = gguf.get_tensor_name_map(
        next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture),
        config.num_hidden_layers,
    )
    for key, weight in hf.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise AssertionError(f"no GGUF name for {key}")
        if name != leave_out:
            _add(writer, name, _stored(architecture, name, weight.numpy(), config), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter, architecture: str, config: PreTrainedConfig) -> None:
    """The metadata that every architecture has, then its own."""
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    (_describe_gpt2 if architecture == "gpt2" else _describe_rotary)(writer, config)
    if architecture == "gemma2":
        writer.add_sliding_window(config.sliding_window)
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)


def _describe_gpt2(writer: gguf.GGUFWriter, config: PreTrainedConfig) -> None:
    writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)


def _describe_rotary(writer: gguf.GGUFWriter, config: PreTrainedConfig) -> None:
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)


def _stored(
    architecture: str, name: str, weight: np.ndarray, config: PreTrainedConfig
) -> np.ndarray:
    """A weight as llama.cpp keeps it: rotary pairs side by side, Gemma's gains whole."""
    if architecture == "llama" and (".attn_q." in name or ".attn_k." in name):
        heads = config.num_attention_heads if ".attn_q." in name else config.num_key_value_heads
        halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
        return halves.swapaxes(1, 2).reshape(weight.shape)
    if architecture == "gemma2" and "norm" in name:
        return weight + 1
    linear = ("attn_qkv.weight", "ffn_down.weight", "ffn_up.weight", "attn_output.weight")
    return weight.T if architecture == "gpt2" and name.endswith(linear) else weight


def _add(writer: gguf.GGUFWriter, name: str, weight: np.ndarray, kind: Kind) -> None:
    """A tensor of the file: vectors in float32, as llama.cpp needs them, matrices as asked."""
    weight = np.ascontiguousarray(weight, dtype=np.float32)
    if weight.ndim == 1 or kind == Kind.F32:
        writer.add_tensor(name, weight)
    else:
        writer.add_tensor(name, gguf.quantize(weight, kind), raw_dtype=kind)
