"""Where each family keeps its residual stream and its MLP neurons: one row a family."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Family:
    """Module paths of one family, as transformers names them; the defaults are Llama's.

    `layers` and `final_norm` start at the model, all other paths at a block. `down` is the MLP's
    down projection: its input holds the neurons, in `transposed` families (Conv1D) its weight is
    stored [d_mlp, d_model]. `mlp_reads` is the module whose input is the stream as the MLP sees it.
    `post_norm` is a norm between the MLP and the stream. `stream` is how later blocks read the
    residual: rms, or layer (mean-centred). In a `parallel` block attention and MLP read the same
    stream. `experts` holds fused 3-D expert weights; blocks without it have a plain `down`.

    `width` and `expert_width` are the config keys of d_mlp (a missing value means four times
    d_model), `logits` the config key between unembedding and logits and how it acts, `requires`
    config values without which the row is wrong.
    """

    layers: str = "model.layers"
    final_norm: str = "model.norm"
    down: str = "mlp.down_proj"
    mlp_reads: str = "post_attention_layernorm"
    post_norm: str | None = None
    transposed: bool = False
    stream: Literal["rms", "layer"] = "rms"
    parallel: bool = False
    experts: str | None = None
    width: str = "intermediate_size"
    expert_width: str = "intermediate_size"
    logits: tuple[Literal["multiply", "divide", "softcap"], str] | None = None
    requires: tuple[tuple[str, object], ...] = ()
    note: str = ""


def _gemma(root: str = "model") -> Family:
    return Family(
        f"{root}.layers",
        f"{root}.norm",
        mlp_reads="pre_feedforward_layernorm",
        post_norm="post_feedforward_layernorm",
        logits=("softcap", "final_logit_softcapping"),
        note="norm gains stored as gamma - 1",
    )


_OLMO = Family(
    mlp_reads="mlp",
    post_norm="post_feedforward_layernorm",
    note="the MLP reads the stream without a norm",
)

FAMILIES: dict[str, Family] = {
    "llama": Family(),
    "mistral": Family(),
    "qwen2": Family(),
    "qwen3": Family(note="norms on queries and keys"),
    "gemma": Family(note="norm gains stored as gamma - 1"),
    "gemma2": _gemma(),
    "gemma3_text": _gemma(),
    "gemma3": replace(
        _gemma("model.language_model"), logits=None, note="the text tower of the multimodal class"
    ),
    "phi3": Family(note="gate and up fused in one weight"),
    "olmo2": _OLMO,
    "olmo3": _OLMO,
    "granite": Family(
        logits=("divide", "logits_scaling"), note="writes scaled by a residual multiplier"
    ),
    "glm4": Family(post_norm="post_mlp_layernorm", note="gate and up fused in one weight"),
    "smollm3": Family(note="some layers without positions"),
    "cohere2": Family(
        mlp_reads="input_layernorm",
        stream="layer",
        parallel=True,
        logits=("multiply", "logit_scale"),
    ),
    "starcoder2": Family(down="mlp.c_proj", stream="layer", note="no gate"),
    "gpt2": Family(
        "transformer.h",
        "transformer.ln_f",
        "mlp.c_proj",
        "ln_2",
        transposed=True,
        stream="layer",
        width="n_inner",
        note="no gate",
    ),
    "gpt_neox": Family(
        "gpt_neox.layers",
        "gpt_neox.final_layer_norm",
        "mlp.dense_4h_to_h",
        stream="layer",
        parallel=True,
        note="no gate",
    ),
    "opt": Family(
        "model.decoder.layers",
        "model.decoder.final_layer_norm",
        "fc2",
        "final_layer_norm",
        stream="layer",
        width="ffn_dim",
        requires=(("do_layer_norm_before", True),),
        note="no gate; opt-350m normalizes the stream itself and is refused",
    ),
    "mixtral": Family(experts="mlp.experts"),
    "qwen3_moe": Family(
        experts="mlp.experts",
        expert_width="moe_intermediate_size",
        note="dense layers where the config says so",
    ),
    "gpt_oss": Family(experts="mlp.experts", note="attention sinks; expert biases"),
}


def no_row(model_type: str, reason: str = "") -> str:
    """The refusal of a model type without a row; `reason` says why none can be inferred."""
    inference = f"; none can be inferred: {reason}" if reason else ""
    return (
        f"model type {model_type!r} has no row in fulcra.models.families (known:"
        f" {', '.join(sorted(FAMILIES))}); looked for the decoder blocks, the MLP down"
        " projection, the module that reads the stream for the MLP, any norm after the MLP,"
        f" and the final norm{inference}: add a Family that names them and run `fulcra check MODEL`"
    )
