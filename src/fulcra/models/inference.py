"""A family row read off a model: what `families` has no row for, traced in one pass.

A row is inferred from what modules do, never from what they are called: `block_neurons` says what
is asked of a block. Here its answers are joined to a row, with the final norm and the logits' law.
"""

from dataclasses import fields, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from fulcra.errors import ModelError
from fulcra.models.block_neurons import ROUNDING, BlockNeurons, block_neurons, relative
from fulcra.models.families import Family, no_row
from fulcra.models.library import one_line
from fulcra.models.replay import TOKENS, Pass, exact, flat, shift_free, traced

#: Relative distance of logits that rounding explains, by the model's dtype.
LOGITS = {torch.float32: 1e-4, torch.float16: 2e-2}

Value = TypeVar("Value")
LogitsLaw = tuple[Literal["multiply", "divide", "softcap"], str] | None


def inferred_row(hf: Any) -> Family:
    """The row of a model whose type has none; ModelError is the refusal of its type, and why."""
    try:
        return inferred(hf)
    except Exception as error:  # a foreign forward pass may fail at any line
        raise ModelError(no_row(hf.config.model_type, one_line(error))) from None


def inferred(hf: Any) -> Family:
    """The row of a model that was traced; ModelError says what of it could not be read.

    Cost: one short forward pass, and each block some twenty times more.
    """
    config = hf.config.get_text_config()
    for key in ("num_hidden_layers", "hidden_size", "vocab_size"):
        if not isinstance(getattr(config, key, None), int):
            raise ModelError(f"its config has no {key}")
    if getattr(config, "cross_attention_layers", None):
        raise ModelError("some of its layers read images, and are passed over without one")
    was_training = hf.training
    hf.eval()
    try:
        device = next(hf.parameters()).device
        ids = ((torch.arange(TOKENS, device=device) * 7 + 3) % config.vocab_size)[None]
        return _row(hf, config, traced(hf, ids))
    finally:
        hf.train(was_training)


def in_words(family: Family) -> str:
    """The row in one line: its paths and laws, defaults of no meaning left out."""
    unused = "down" if family.down == "" else "expert_width" if family.experts is None else ""
    values = {field.name: getattr(family, field.name) for field in fields(family)}
    if values["logits"] is not None:
        values["logits"] = " by ".join(values["logits"])
    return ", ".join(
        f"{name} {value}"
        for name, value in values.items()
        if value not in (None, False, (), "") and name != unused
    )


def _row(hf: Any, config: Any, trace: Pass) -> Family:
    # one block at a time: in another dtype than float32 each is a copy
    layers = [block_neurons(exact(block)) for block in trace.blocks]
    _require_own_weights(hf, trace.layers, layers)
    final_norm, logits = _head(hf, config, trace)
    centred = shift_free(hf.get_submodule(final_norm), trace.blocks[-1].after)
    row = Family(
        layers=trace.layers,
        final_norm=final_norm,
        mlp_reads=_one("the MLP reads the stream at", [layer.mlp_reads for layer in layers]),
        post_norm=_one("the norm after the MLP is", [layer.post_norm for layer in layers]),
        parallel=_one("a parallel block is", [layer.parallel for layer in layers]),
        stream="layer" if centred and all(layer.centred for layer in layers) else "rms",
        logits=logits,
    )
    dense = [layer for layer in layers if not layer.mixture]
    mixed = [layer for layer in layers if layer.mixture]
    row = _with_down(row, config, dense) if dense else row
    return _with_experts(row, config, mixed) if mixed else row


def _require_own_weights(hf: Any, path: str, layers: list[BlockNeurons]) -> None:
    """ModelError where a map of neurons shares its weight, so that no column is one neuron's."""
    names: dict[int, list[str]] = {}
    for name, weight in hf.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), []).append(name)
    for layer, neurons in enumerate(layers):
        for weight in hf.get_submodule(f"{path}.{layer}.{neurons.writer}").parameters():
            if len(shared := names[id(weight)]) > 1:
                raise ModelError(f"{shared[0]} and {shared[1]} are one weight")


def _with_down(row: Family, config: Any, layers: list[BlockNeurons]) -> Family:
    return replace(
        row,
        down=_one("the down projection is", [layer.writer for layer in layers]),
        transposed=_one("a transposed weight is", [layer.transposed for layer in layers]),
        width=_width_key(config, {layer.width for layer in layers}, "intermediate_size"),
    )


def _with_experts(row: Family, config: Any, layers: list[BlockNeurons]) -> Family:
    return replace(
        row,
        experts=_one("the experts are", [layer.writer for layer in layers]),
        expert_width=_width_key(config, {layer.width for layer in layers}, "moe_intermediate_size"),
    )


def _one(what: str, values: list[Value]) -> Value:
    """The value that all layers have in common."""
    kinds = list(dict.fromkeys(values))
    if len(kinds) > 1:
        raise ModelError(f"{what} {kinds[0]} in some layers, {kinds[1]} in others")
    return kinds[0]


def _width_key(config: Any, widths: set[int], usual: str) -> str:
    """The key of the config that holds d_mlp; a missing one where it is four times d_model."""
    if len(widths) > 1:
        raise ModelError(f"layers have {min(widths)} to {max(widths)} neurons, one row holds one")
    (width,) = widths
    value = _value(config, usual)
    if value == width or (value is None and width == 4 * config.hidden_size):
        return usual
    for key in config.to_dict():
        if _value(config, key) == width:
            return str(key)
    raise ModelError(f"no key of the config holds d_mlp, which is {width}")


def _value(config: Any, key: str) -> object:
    """A value that the config has for all layers."""
    try:
        return getattr(config, key, None)
    except Exception:  # one that differs between layers, which the library refuses to read
        return None


@torch.no_grad()
def _head(hf: Any, config: Any, trace: Pass) -> tuple[str, LogitsLaw]:
    """The final norm, and what stands between unembedding and logits."""
    stream, unembedding = trace.blocks[-1].after, hf.get_output_embeddings()
    paths = [
        (path, module)
        for path, module, read in trace.later
        if read.shape[-1] == stream.shape[-1] and relative(flat(read), stream) < ROUNDING
    ]
    if unembedding is None or not paths or paths[0][1] is unembedding:
        raise ModelError("no final norm and unembedding read the last block's stream")
    path, norm = paths[0]
    raw = flat(unembedding(norm(stream[None].to(hf.dtype))))
    return path, _logits(config, raw, flat(trace.logits), LOGITS.get(hf.dtype, 0.1))


def _logits(config: Any, raw: Tensor, logits: Tensor, tolerance: float) -> LogitsLaw:
    """The law, and the key of the config that holds its number, which gives the logits best."""
    if raw.shape != logits.shape:
        raise ModelError("the unembedding gives logits of another shape")
    laws: dict[LogitsLaw, float] = {None: 0.5 * relative(raw, logits) - 1e-6}
    numbers = {key: value for key, value in config.to_dict().items() if _is_number(value)}
    for key, value in sorted(numbers.items(), key=lambda entry: "logit" not in entry[0]):
        laws[("multiply", key)] = relative(raw * value, logits)
        laws[("divide", key)] = relative(raw / value, logits)
        laws[("softcap", key)] = relative((raw / value).tanh() * value, logits)
    best = min(laws, key=lambda law: laws[law])
    if not laws[best] < (tolerance if best is None else min(tolerance, 2e-2)):
        raise ModelError("final norm and unembedding do not give the logits by any config value")
    return best


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value not in (0, 1)
