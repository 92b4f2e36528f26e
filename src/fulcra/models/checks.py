"""Load-time validation: a model is read and written as its family's row says."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from fulcra.errors import ModelCheckError, ModelError
from fulcra.models.adapter import Model, is_plain
from fulcra.models.applying import applied_rows
from fulcra.models.check_entries import Check, distance, small
from fulcra.models.edits import add, scale
from fulcra.models.effective import Probe, effect_tolerance, probe, probe_ids
from fulcra.models.experts import expert_width
from fulcra.models.families import no_row
from fulcra.models.library import refusing
from fulcra.models.oracle import oracle, scaled_columns
from fulcra.models.read_hooks import (
    block_inputs,
    block_outputs,
    everywhere,
    hooked,
    last,
    layer_activations,
    mlp_inputs,
    mlp_outputs,
    stream_reads,
)
from fulcra.types import Edits, Neuron

#: A dose as long as the stream moves the logits by more than this, relatively.
MOVED = 1e-3


def validated(model: Model) -> Model:
    """The model, if every check passes.

    ModelCheckError names the module and the two numbers otherwise.
    """
    with refusing(f"model {model.name!r}: cannot be checked"):
        failed = [result for result in check(model) if result.passed is False]
    if failed and model.inferred is not None:
        raise ModelError(no_row(model.hf.config.model_type, str(failed[0])))
    if failed:
        raise ModelCheckError(
            f"model {model.name!r} is not what the {model.hf.config.model_type} row of"
            f" fulcra.models.families describes: {failed[0]}; correct the row, or load with"
            " check=False to look at the model"
        )
    return model


@torch.no_grad()
def check(model: Model) -> list[Check]:
    """Every check with its numbers; none after a failed `d_mlp` or after logits that are nan.

    An inferred row is held against weight edits in every layer too. Cost: eleven short passes,
    thirty for an inferred row. ModelCheckError where the model runs past its modules' hooks, as
    a compiled one does, so that nothing can be measured.
    """
    first = _widths(model)
    if not first.passed:
        return [first]
    ids = probe_ids(model)
    clean = model.hf(input_ids=ids, use_cache=False).logits.float()
    logits = _logits(model, ids)
    if not bool(clean.isfinite().all()):
        return [first, logits]
    measured = probe(model)
    rest = [
        logits,
        _stream(model, ids),
        _write(model, measured),
        _zero(model, ids, clean),
        _identity(model, ids, clean),
    ]
    entries = [first, *rest, _applied(model, ids, clean, measured)]
    if model.inferred is None:
        return entries
    return [*entries, *oracle(model, ids, clean, measured)]


def _widths(model: Model) -> Check:
    """The first layer whose neurons are not what the config says, else the last one."""
    ids, law = (
        probe_ids(model),
        "columns of the down projection's input = d_mlp, of its output = d_model",
    )
    with mlp_inputs(model, 1, everywhere) as inputs, mlp_outputs(model, 1, everywhere) as wrote:
        model.hf(input_ids=ids, use_cache=False, logits_to_keep=1)
    for layer in range(model.n_layers):
        experts = model.experts(layer)
        key = model.family.width if experts is None else model.family.expert_width
        expected = getattr(model.config, key, None) or 4 * model.d_model
        if experts is not None:
            width = expert_width(experts)
        else:
            width = inputs[layer].shape[-1]  # type: ignore[union-attr]
        if width != expected:
            return Check(
                "d_mlp",
                model.place(layer),
                False,
                width,
                expected,
                law,
                f"this is the input; d_mlp is {key} of the config",
            )
        if (columns := wrote[layer].shape[-1]) != model.d_model:
            return Check(
                "d_mlp",
                model.place(layer),
                False,
                columns,
                model.d_model,
                law,
                "this is the output",
            )
    return Check("d_mlp", model.place(model.n_layers - 1), True, width, expected, law)


def _logits(model: Model, ids: Tensor) -> Check:
    with block_outputs(model) as streams:
        logits = model.hf(input_ids=ids, use_cache=False).logits.float()
    again = model.unembed(streams[model.n_layers - 1]).float().to(logits.device)
    law = "final norm and unembedding give the logits (relative distance)"
    return small(
        "logits", model.family.final_norm, distance(again, logits), effect_tolerance(model), law
    )


def _stream(model: Model, ids: Tensor) -> Check:
    """What the MLP reads is the block's input; in a serial block, its output without the MLP."""
    family = model.family
    silent = [] if family.parallel else list(range(model.n_layers))
    with (
        hooked(_mlp(model, layer).register_forward_hook(_nothing) for layer in silent),
        stream_reads(model) as reads,
        block_inputs(model) if family.parallel else block_outputs(model) as streams,
    ):
        model.hf(input_ids=ids, use_cache=False, logits_to_keep=1)
    apart = [distance(reads[layer], streams[layer]) for layer in range(model.n_layers)]
    worst = max(range(model.n_layers), key=apart.__getitem__)
    side = "input" if family.parallel else "output without its MLP"
    return small(
        "stream",
        f"{family.layers}.{worst}.{family.mlp_reads}",
        apart[worst],
        effect_tolerance(model),
        f"the MLP reads the block's {side} (relative distance, worst layer)",
    )


def _mlp(model: Model, layer: int) -> nn.Module:
    """What writes for the MLP: its down projection, or all around its experts, shared ones too."""
    block, experts = model.blocks[layer], model.family.experts
    if experts is None or model.experts(layer) is None:
        return model.down(layer)
    return model.module(block, experts.rpartition(".")[0] or experts, "experts")


def _nothing(module: nn.Module, args: object, output: Tensor | tuple[Tensor, ...]) -> object:
    """A forward hook: the module writes zeros."""
    if isinstance(output, Tensor):
        return torch.zeros_like(output)
    return (torch.zeros_like(output[0]), *output[1:])


def _write(model: Model, measured: Probe) -> Check:
    layer = int(measured.error.argmax())
    note = f"multiplier {measured.multiplier[layer]:g}" + (
        f", through {model.family.post_norm}" if model.family.post_norm else ""
    )
    note += ", parallel block" if model.family.parallel else ""
    law = "a dose moves the block's output by its effective write (relative error, worst layer)"
    return small(
        "write",
        model.place(layer),
        float(measured.error[layer]),
        effect_tolerance(model),
        law,
        note,
    )


def _zero(model: Model, ids: Tensor, clean: Tensor) -> Check:
    layer, law = (
        model.n_layers // 2,
        "activation 0 = column of W_down 0 (relative distance of logits)",
    )
    neuron = _most_active(model, ids, layer)
    module = model.down(layer) if model.experts(layer) is None else model.experts(layer)
    if not all(is_plain(weight) for weight in cast(nn.Module, module).parameters(recurse=False)):
        return Check(
            "zero",
            model.place(layer),
            None,
            float("nan"),
            effect_tolerance(model),
            law,
            "weights are quantized or offloaded",
            "at most ",
        )
    with zeroed_column(model, neuron):
        zeroed = model.hf(input_ids=ids, use_cache=False).logits.float()
    edited = _edited(model, ids, (scale(neuron, 0.0),))
    note = f"{neuron.site}, moves the logits by {distance(edited, clean):.2g}"
    return small(
        "zero", model.place(layer), distance(edited, zeroed), effect_tolerance(model), law, note
    )


def _identity(model: Model, ids: Tensor, clean: Tensor) -> Check:
    layer = model.n_layers // 2
    edited = _edited(model, ids, (scale(_most_active(model, ids, layer), 1.0),))
    return small(
        "identity",
        model.place(layer),
        distance(edited, clean),
        0.0,
        "activation x 1 changes no bit of the logits",
    )


def _applied(model: Model, ids: Tensor, clean: Tensor, measured: Probe) -> Check:
    layer = model.n_layers // 2
    edit = measured.edits[layer]
    moved = distance(_edited(model, ids, (add(edit.site, alpha=edit.value),)), clean)
    after = distance(model.hf(input_ids=ids, use_cache=False).logits.float(), clean)
    law = "a planted edit changes the logits (relative distance) and is gone afterwards"
    note = "" if after == 0 else f"the logits still differ by {after:.2g} without it"
    return Check(
        "applied",
        model.place(layer),
        moved > MOVED and after == 0,
        moved,
        MOVED,
        law,
        note,
        "more than ",
    )


def _edited(model: Model, ids: Tensor, edits: Edits) -> Tensor:
    with applied_rows(model, edits, every_row=True):
        logits: Tensor = model.hf(input_ids=ids, use_cache=False).logits.float()
    return logits


def _most_active(model: Model, ids: Tensor, layer: int) -> Neuron:
    with mlp_inputs(model, 1, last) as inputs:
        model.hf(input_ids=ids, use_cache=False, logits_to_keep=1)
    values = layer_activations(model, layer, inputs[layer])[0]
    return model.neuron(layer, int(values.abs().argmax()))


@contextmanager
def zeroed_column(model: Model, neuron: Neuron) -> Iterator[None]:
    """The neuron's column of W_down at zero inside the block, restored bit by bit afterwards."""
    with scaled_columns(model, (neuron,), 0.0):
        yield
