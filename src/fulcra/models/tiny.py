"""Tiny random models of every family, from configs alone, to verify the rows on."""

from typing import TYPE_CHECKING, Any

import torch

from fulcra.models.adapter import Model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCAB = 100
D_MODEL, D_MLP, LAYERS = 32, 48, 3
_SIZE = {
    "hidden_size": D_MODEL,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "vocab_size": VOCAB,
    "max_position_embeddings": 128,
}
_GROUPED = {**_SIZE, "intermediate_size": D_MLP, "num_key_value_heads": 2}
_HEADS = {**_GROUPED, "head_dim": 8}
_GEMMA = {**_HEADS, "sliding_window": 6, "query_pre_attn_scalar": 8}
_EXPERTS = {**_HEADS, "num_experts_per_tok": 2}
#: No family's own special tokens: they lie beyond a vocabulary of 100.
_IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": _GROUPED,
    "mistral": {**_GROUPED, "sliding_window": 6},
    "qwen2": _GROUPED,
    "qwen3": _HEADS,
    "gemma": _HEADS,
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
    "gemma3": {
        "text_config": {**_GEMMA, **_IDS},
        "vision_config": _VISION,
        "mm_tokens_per_image": 4,
        "image_token_index": 99,
        "boi_token_index": 97,
        "eoi_token_index": 98,
    },
    "phi3": _GROUPED,
    "olmo2": _GROUPED,
    "olmo3": {**_GROUPED, "sliding_window": 6},
    "granite": {
        **_GROUPED,
        "residual_multiplier": 0.22,
        "embedding_multiplier": 3.0,
        "logits_scaling": 4.0,
        "attention_multiplier": 0.2,
    },
    "glm4": _HEADS,
    "smollm3": _GROUPED,
    "cohere2": {**_HEADS, "sliding_window": 6, "logit_scale": 0.25},
    "starcoder2": {**_GROUPED, "sliding_window": 6},
    "gpt2": {
        "n_embd": D_MODEL,
        "n_layer": LAYERS,
        "n_head": 4,
        "vocab_size": VOCAB,
        "n_positions": 128,
        "n_inner": D_MLP,
    },
    "gpt_neox": {**_SIZE, "intermediate_size": D_MLP},
    "opt": {**_SIZE, "ffn_dim": D_MLP, "word_embed_proj_dim": D_MODEL},
    "mixtral": {**_EXPERTS, "num_local_experts": 4},
    "qwen3_moe": {
        **_EXPERTS,
        "num_experts": 4,
        "moe_intermediate_size": 24,
        "mlp_only_layers": [1],
        "norm_topk_prob": True,
    },
    "gpt_oss": {
        **_EXPERTS,
        "num_local_experts": 4,
        "sliding_window": 6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    },
}


def tiny_tokenizer(
    chat_template: str | None = None, adds_bos: bool = False
) -> "PreTrainedTokenizerFast":
    """A word tokenizer over w3 ... w99 with <pad>, <s> and </s>.

    With `adds_bos` plain text starts with <s>.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{i}": i for i in range(3, VOCAB)}
    inner = Tokenizer(WordLevel(words, unk_token="w3"))
    inner.pre_tokenizer = WhitespaceSplit()
    if adds_bos:
        inner.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, chat_template=chat_template, **names)


def shaken(hf: torch.nn.Module, generator: torch.Generator) -> None:
    """Every weight made random, decided by the generator."""
    # Norm gains and biases too: at their initial ones and zeros a wrong path through a norm would
    # go unseen.
    for parameter in hf.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = 0.2 * noise if parameter.dim() > 1 else parameter.data + 0.3 * noise


def tiny(model_type: str, seed: int = 0, chat_template: str | None = None, **changes: Any) -> Model:
    """A random float32 model of a family, d_model 32, 3 layers, decided by `seed`.

    `changes` are put into its config.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(model_type, **_IDS, **{**CONFIGS[model_type], **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hf = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    shaken(hf, torch.Generator().manual_seed(seed))
    hf.generation_config.update(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    return Model(f"tiny-{model_type}", hf, tiny_tokenizer(chat_template))
