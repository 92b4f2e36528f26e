"""The weight-edit oracle of an inferred row: what a hook does is what edited weights do.

Every layer is tried, at every token, in padded batches and through the cache; exact rows are held
to these laws by the tests of their families, once for all.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from fulcra.errors import ModelError
from fulcra.models.adapter import Model
from fulcra.models.applying import applied_rows
from fulcra.models.batches import padded, positions_of
from fulcra.models.check_entries import Check, distance, small
from fulcra.models.edits import add, scale
from fulcra.models.effective import Probe, effect_tolerance, normed
from fulcra.models.experts import Routed, router_weight
from fulcra.models.placement import at_hand
from fulcra.models.read_hooks import (
    block_outputs,
    everywhere,
    last,
    layer_activations,
    mlp_inputs,
    mlp_outputs,
)
from fulcra.types import Edits, Neuron

#: Factors of a column that the hooks must equal: gone, and twice as long.
FACTORS = (0.0, 2.0)


@torch.no_grad()
def oracle(model: Model, ids: Tensor, clean: Tensor, measured: Probe) -> list[Check]:
    """The oracle's checks on a text `ids` [1, pos] whose logits are `clean`; a dozen passes."""
    neurons = _active(model, ids)
    columns = [_columns(model, ids, neurons, factor) for factor in FACTORS]
    return [*columns, _doses(model, ids, measured), _padding(model), _cache(model, ids, neurons)]


def _active(model: Model, ids: Tensor) -> tuple[Neuron, ...]:
    """The most active neuron of every layer at the last token."""
    with mlp_inputs(model, 1, last) as inputs:
        model.hf(input_ids=ids, use_cache=False)
    values = (layer_activations(model, i, inputs[i])[0] for i in range(model.n_layers))
    return tuple(model.neuron(i, int(row.abs().argmax())) for i, row in enumerate(values))


def _columns(model: Model, ids: Tensor, neurons: Sequence[Neuron], factor: float) -> Check:
    edits = tuple(scale(neuron, factor) for neuron in neurons)
    edited = _logits(model, ids, edits)
    with scaled_columns(model, neurons, factor):
        expected = _logits(model, ids)
    law = f"activations x {factor:g} = columns of W_down x {factor:g}, one neuron a layer"
    place, away = model.family.layers, distance(edited, expected)
    return small(f"x {factor:g}", place, away, effect_tolerance(model), law)


def _doses(model: Model, ids: Tensor, measured: Probe) -> Check:
    """The layer whose dose moves the stream least as its effective write says, at every token."""
    rows = model.n_layers + 1

    def clean_and_dosed(layer: int, values: Tensor) -> Tensor:
        return values[[0, layer + 1]]

    with (
        applied_rows(model, [(), *((edit,) for edit in measured.edits)]),
        block_outputs(model, clean_and_dosed) as streams,
        mlp_outputs(model, rows, clean_and_dosed) as wrote,
        mlp_inputs(model, rows, everywhere) as inputs,
    ):
        model.hf(input_ids=ids.repeat(rows, 1), use_cache=False)
    away = []
    for layer, edit in enumerate(measured.edits):
        assert isinstance(edit.site, Neuron)
        before, write = wrote[layer][0], edit.value * model.write(edit.site)
        shift = _weights(edit.site, inputs[layer]) * write.to(before.device)
        expected = normed(model, layer, before + shift) - normed(model, layer, before)
        moved = (streams[layer][1] - streams[layer][0]).float()
        away.append(distance(moved, measured.multiplier[layer].to(expected.device) * expected))
    worst = max(range(model.n_layers), key=lambda layer: away[layer])
    law = "a dose moves the stream by its effective write at every token (worst layer)"
    allowed = 2 * effect_tolerance(model)
    return small("dose", model.place(worst), max(away), allowed, law)


def _weights(neuron: Neuron, inputs: Tensor | Routed) -> Tensor:
    """The router weights of a neuron's expert at every token of the first row, else 1."""
    if not isinstance(inputs, Routed):
        return torch.ones(1)
    return router_weight(inputs.expert_ids, inputs.weights, neuron.expert or 0)[0][:, None].float()


def _padding(model: Model) -> Check:
    """Rows of unequal length together and alone, with pads before the text and after it."""
    rows = [[(7 * i + 3 + 11 * r) % model.vocab for i in range(n)] for r, n in enumerate((7, 3, 5))]
    away = []
    for left in (True, False):
        ids, mask = padded(rows, model.device, left=left)
        inputs = {"position_ids": positions_of(mask)} if left else {}
        logits = model.hf(input_ids=ids, attention_mask=mask, use_cache=False, **inputs).logits
        for row, values, real in zip(rows, logits.float(), mask.bool(), strict=True):
            alone = _logits(model, torch.tensor([row], device=model.device))[0]
            away.append(distance(values[real], alone))
    law = "a padded batch gives the logits of its rows alone (relative distance)"
    return small("padding", type(model.hf).__name__, max(away), effect_tolerance(model), law)


def _cache(model: Model, ids: Tensor, neurons: Sequence[Neuron]) -> Check:
    """Logits token by token through the cache against one pass, under doses in every layer.

    The cache is the library's own, of two rows of which one is left, as rollouts use it.
    """
    from transformers import DynamicCache

    edits = tuple(add(neuron, alpha=0.5) for neuron in neurons)
    expected = _logits(model, ids, edits)[:, -3:]
    cache: Any = DynamicCache(config=model.hf.config)
    stored = {"past_key_values": cache, "use_cache": True}
    with applied_rows(model, edits, every_row=True):
        start: Any = model.hf(input_ids=ids[:, :-2].repeat(2, 1), **stored)
        if any(getattr(layer, "keys", cache) is None for layer in cache.layers):
            raise ModelError("a layer of its cache stays empty, so that rollouts cannot go on")
        cache.reorder_cache(torch.tensor([1], device=ids.device))
        steps = [start.logits[1:, -1:]]
        for i in range(ids.shape[1] - 2, ids.shape[1]):
            step: Any = model.hf(input_ids=ids[:, i : i + 1], **stored)
            steps.append(step.logits)
    away = distance(torch.cat(steps, 1).float(), expected)
    law = "an edited reply through the cache gives the logits of one pass (relative distance)"
    return small("cache", type(model.hf).__name__, away, effect_tolerance(model), law)


def _logits(model: Model, ids: Tensor, edits: Edits = ()) -> Tensor:
    with applied_rows(model, edits, every_row=True):
        logits: Tensor = model.hf(input_ids=ids, use_cache=False).logits.float()
    return logits


@contextmanager
def scaled_columns(model: Model, neurons: Sequence[Neuron], factor: float) -> Iterator[None]:
    """The neurons' columns of W_down times a factor inside the block, then restored bit by bit."""
    with ExitStack() as stack:
        for neuron in neurons:
            stack.enter_context(_scaled_column(model, neuron, factor))
        yield


@contextmanager
def _scaled_column(model: Model, neuron: Neuron, factor: float) -> Iterator[None]:
    experts: Any = model.experts(neuron.layer)
    module: Any = model.down(neuron.layer) if experts is None else experts
    with at_hand(module), torch.no_grad():
        weight = module.weight if experts is None else module.down_proj[neuron.expert]
        rows = model.family.transposed if experts is None else module.is_transposed
        column = weight[neuron.index] if rows else weight[:, neuron.index]
        weights = column.clone()
        column.mul_(factor)
        try:
            yield
        finally:
            column.copy_(weights)
