"""Single neurons read token by token: a few neurons at every position of a clean text."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.models.adapter import Model
from fulcra.models.batches import batches
from fulcra.models.experts import Routed, neuron_activation
from fulcra.models.read_hooks import mlp_inputs
from fulcra.types import Neuron


@torch.no_grad()
def traces(
    model: Model, neurons: Sequence[Neuron], rows: Sequence[tuple[int, ...]], batch: int = 32
) -> Iterator[Tensor]:
    """Activations at every position, [neuron, pos], one float32 tensor a row, in their order.

    On the CPU. nan where the neuron's expert does not see the token; InputError for any other
    number that is not finite. One clean pass a batch; poles do not matter.
    """
    for neuron in neurons:
        model.require(neuron)
    for part in batches(model, rows, batch):
        values = token_activations(model, neurons, **part.inputs).movedim(-1, 0).cpu()
        for i, row in enumerate(rows[part.rows]):
            yield _finite(neurons, values[:, i, : len(row)])


def _finite(neurons: Sequence[Neuron], values: Tensor) -> Tensor:
    unrouted = values.isnan() & torch.tensor([[neuron.expert is not None] for neuron in neurons])
    broken = (~values.isfinite() & ~unrouted).nonzero()
    if len(broken):
        row, token = broken[0].tolist()
        raise InputError(
            f"neuron {neurons[row].site}: its activation is {float(values[row, token])} at token"
            f" {token} of a text; load the model in float32 or leave the text out"
        )
    return values


@torch.no_grad()
def token_activations(model: Model, neurons: Sequence[Neuron], **inputs: Any) -> Tensor:
    """Activations [row, pos, neuron], float32, nan where an expert is not routed to; one pass.

    `inputs` are those of the transformers model: input_ids [row, pos], attention_mask,
    position_ids.
    """
    columns = [[n.index for n in neurons if n.layer == layer] for layer in range(model.n_layers)]

    def wanted(layer: int, values: Tensor) -> Tensor:
        if not columns[layer]:
            return values[:, :0]
        return values[..., columns[layer]] if model.experts(layer) is None else values

    with mlp_inputs(model, len(inputs["input_ids"]), wanted) as reads:
        model.hf(**inputs, use_cache=False, logits_to_keep=1)
    values = []
    for neuron in neurons:
        read = reads[neuron.layer]
        if isinstance(read, Routed):
            value = _expert_activations(model, neuron, read)
        else:
            value = read[..., columns[neuron.layer].index(neuron.index)]
        values.append(value.float().to(model.device))
    return torch.stack(values, -1)


def _expert_activations(model: Model, neuron: Neuron, calls: Routed) -> Tensor:
    expert, index = (
        torch.tensor([i], device=calls.tokens.device) for i in (neuron.expert or 0, neuron.index)
    )
    tokens = calls.tokens.flatten(0, 1)[None]
    values = neuron_activation(model.experts(neuron.layer), tokens, expert, index)[0]
    unrouted = (calls.expert_ids != expert).all(-1)
    return values.view(calls.tokens.shape[:-1]).masked_fill(unrouted, torch.nan)


def windows(model: Model, pieces: Iterable[str], size: int) -> Iterator[tuple[int, ...]]:
    """The text in `pieces` as consecutive token windows of `size`, the last one shorter.

    Each begins with the BOS if texts do. A piece is tokenized alone, so a token never spans two of
    them.
    """
    size, lead = min(size, model.context), model.text_start
    if size < len(lead) + 2:
        raise InputError(
            f"window of {size} tokens: expected at least {len(lead) + 2}, since the first position"
            " is never read"
        )
    left: tuple[int, ...] = ()
    for piece in pieces:
        left += model.reply_ids(piece)
        while len(left) >= size - len(lead):
            yield lead + left[: size - len(lead)]
            left = left[size - len(lead) :]
    if len(left) > (0 if lead else 1):
        yield lead + left
