"""What a neuron's dose does to the stream at its block's output, measured on the model.

Every supported block ends as out = before + k N(y): y is what the MLP wrote, N the norm after it
(the identity in most families), k a residual multiplier (1 in most). `probe` measures k and how
exactly this holds.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.models.adapter import Model
from fulcra.models.applying import applied_rows
from fulcra.models.edits import add
from fulcra.models.experts import Routed, router_weight
from fulcra.models.read_hooks import block_outputs, last, mlp_inputs, mlp_outputs
from fulcra.types import Edit, Neuron

#: Relative deviation below which a measured number is taken for the exact one, by the weights'
#: rounding.
WRITE_TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}


class Probe(NamedTuple):
    """Measured at every layer, at the last token of a short text.

    `multiplier` [layer] is k, `error` [layer] the relative distance of the measured change of the
    block's output from k times the predicted one, `edits` the doses that were used: as long as the
    stream.
    """

    multiplier: Tensor
    error: Tensor
    edits: tuple[Edit, ...]


def effect_tolerance(model: Model) -> float:
    """The relative deviation that rounding explains in this model's dtype."""
    return WRITE_TOLERANCE.get(model.dtype, 0.1)


def probe_ids(model: Model, tokens: int = 6) -> Tensor:
    """A short text that any vocabulary has, [1, pos]."""
    return ((torch.arange(tokens, device=model.device) * 7 + 3) % model.vocab)[None]


def normed(model: Model, layer: int, written: Tensor) -> Tensor:
    """N(y): what the block adds to the stream for an MLP output, before the multiplier, float32."""
    norm = model.post_norm(layer)
    return (
        written if norm is None else norm(written.to(model.device_at(layer), model.dtype))
    ).float()


def _doses(model: Model, ids: Tensor) -> tuple[list[Edit], list[float]]:
    """One dose a layer whose write is as long as the stream, and its neuron's router weight."""
    edits, weights = [], []
    with block_outputs(model, last) as streams, mlp_inputs(model, 1, last) as inputs:
        model.hf(input_ids=ids, use_cache=False, logits_to_keep=1)
    for layer in range(model.n_layers):
        neuron, weight = _probed(model, layer, inputs[layer])
        write = weight * float(model.write(neuron).norm())
        alpha = float(streams[layer].float().norm()) / write if write else 1.0
        edits.append(add(neuron, alpha=alpha))
        weights.append(weight)
    return edits, weights


def _probed(model: Model, layer: int, inputs: Tensor | Routed) -> tuple[Neuron, float]:
    if not isinstance(inputs, Routed):
        return Neuron(layer, model.width(layer) // 2), 1.0
    neuron = Neuron(layer, 0, expert=int(inputs.expert_ids[0, 0]))
    return neuron, float(router_weight(inputs.expert_ids, inputs.weights, neuron.expert or 0)[0])


@torch.no_grad()
def probe(model: Model) -> Probe:
    """The block tails as measured: one clean pass, and one in which every row doses one layer."""
    ids = probe_ids(model)
    edits, weights = _doses(model, ids)
    rows = model.n_layers + 1

    def clean_and_dosed(layer: int, values: Tensor) -> Tensor:
        return values[[0, layer + 1], -1]

    dosed = applied_rows(model, [(), *((edit,) for edit in edits)])
    with (
        dosed,
        block_outputs(model, clean_and_dosed) as streams,
        mlp_outputs(model, rows, clean_and_dosed) as wrote,
    ):
        model.hf(input_ids=ids.repeat(rows, 1), use_cache=False, logits_to_keep=1)
    tails = [
        _tail(model, edits[i], weights[i], streams[i].float(), wrote[i])
        for i in range(model.n_layers)
    ]
    multiplier, error = torch.tensor(tails).unbind(-1)
    exact = (multiplier - 1).abs() < effect_tolerance(model)
    return Probe(torch.where(exact, torch.ones(()), multiplier), error, tuple(edits))


def _tail(
    model: Model, edit: Edit, weight: float, streams: Tensor, wrote: Tensor
) -> tuple[float, float]:
    """k and the relative error of one layer, from stream and MLP output, clean and dosed."""
    assert isinstance(edit.site, Neuron)
    layer = edit.site.layer
    write = edit.value * weight * model.write(edit.site).to(wrote.device)
    expected = normed(model, layer, wrote[0] + write) - normed(model, layer, wrote[0])
    moved = (streams[1] - streams[0]).to(expected.device)
    k = float(moved @ expected / (expected @ expected).clamp(min=1e-30))
    return k, float((moved - k * expected).norm() / moved.norm().clamp(min=1e-30))
