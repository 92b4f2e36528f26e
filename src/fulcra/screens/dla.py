"""Direct logit attribution: what a neuron's difference writes onto the readout of the flip."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from fulcra.errors import ModelError
from fulcra.ladders.next_token import NextTokens
from fulcra.models import Model
from fulcra.models.activations import activations
from fulcra.screens.objective import FORWARD_ONLY, with_phrases
from fulcra.screens.scores import ranked, require_contrast
from fulcra.types import Behavior, Ranking


def readout(model: Model, behavior: Behavior) -> Tensor:
    """Mean unembedding row of the target tokens - that of the control tokens, [d_model], float32.

    The tokens are those at which target and control openings part; the mean is over the selection
    prompts.
    """
    sides = NextTokens(model, with_phrases(behavior, behavior.selection), behavior.system).sides
    rows = model.hf.get_output_embeddings().weight.detach()
    differences = [
        rows[list(target)].float().mean(0) - rows[list(control)].float().mean(0)
        for target, control in sides
    ]
    return torch.stack(differences).mean(0).cpu()


def write_scores(model: Model, direction: Tensor) -> Tensor:
    """c_j = direction . v_j of every neuron, [layer, d_mlp], float32."""
    out = torch.zeros(model.n_layers, model.d_mlp)
    for layer in range(model.n_layers):
        out[layer, : model.width(layer)] = model.writes(layer).cpu() @ direction
    return out


def dla(
    model: Model,
    behavior: Behavior,
    *,
    statistic: Literal["mean", "rms", "coherence"] = "mean",
    layers: Sequence[int] | None = None,
) -> Ranking:
    """Branches by descending |statistic of c_j delta_j|, on the pole that writes to the target.

    The statistic is over pairs of contrast prompts; coherence = |mean| / RMS, in [0, 1]. ModelError
    in families with a norm after the MLP: there c_j is not what is written. (The predecessor of
    paper A.)
    """
    if model.family.post_norm is not None:
        raise ModelError(
            f"dla: {model.name!r} has a norm after its MLP, which bends every write, so a column"
            " times the unembedding means nothing; use another screen: gradient, attribution,"
            f" slope, window, {FORWARD_ONLY}"
        )
    require_contrast(behavior, "dla")
    mean, square = _differences(model, behavior)
    size = {
        "mean": mean.abs(),
        "rms": square.sqrt(),
        "coherence": mean.abs() / square.sqrt().clamp(min=1e-12),
    }[statistic]
    direct = write_scores(model, readout(model, behavior))
    signed = direct.sign() * size if statistic == "coherence" else direct * size
    return ranked("dla", model, signed, layers)


def _differences(model: Model, behavior: Behavior) -> tuple[Tensor, Tensor]:
    """Mean and mean square of the activation difference of a pair of prompts, [layer, d_mlp].

    At the last prompt token.
    """
    pairs = list(zip(behavior.positive, behavior.negative, strict=False))
    total, square = torch.zeros(2, model.n_layers, model.d_mlp)
    for start in range(0, len(pairs), 32):
        batch = pairs[start : start + 32]
        both = [
            [model.prompt_ids(pair[side].text, behavior.system) for pair in batch]
            for side in (0, 1)
        ]
        positive, negative = (next(activations(model, rows)) for rows in both)
        total += (positive - negative).sum(0).cpu()
        square += (positive - negative).square().sum(0).cpu()
    return total / len(pairs), square / len(pairs)
