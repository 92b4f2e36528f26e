"""Where each model family keeps its residual stream and its MLP neurons: one row a family, data and no code."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Family:
    """Module paths of one family, as transformers names them.

    `layers` and `final_norm` start at the model, `down` (the down projection, whose input is the neurons) and `post_norm`
    (a norm between the MLP and the stream) at a block. `transposed` weights are stored [d_mlp, d_model] (Conv1D).
    `stream` is how later blocks read the residual: rms, or layer (mean-centred).
    """

    layers: str = "model.layers"
    down: str = "mlp.down_proj"
    final_norm: str = "model.norm"
    post_norm: str | None = None
    transposed: bool = False
    stream: Literal["rms", "layer"] = "rms"


FAMILIES: dict[str, Family] = {
    "llama": Family(),
    "mistral": Family(),
    "qwen2": Family(),
    "qwen3": Family(),
    "gpt2": Family("transformer.h", "mlp.c_proj", "transformer.ln_f", transposed=True, stream="layer"),
}
