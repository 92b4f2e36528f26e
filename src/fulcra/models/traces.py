"""Single neurons read token by token: the clean activation of a few neurons at every position of a
text.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.models.adapter import Model
from fulcra.models.experts import Routed, neuron_activation
from fulcra.models.read_hooks import mlp_inputs, padded
from fulcra.types import Neuron


@torch.no_grad()
def traces(
    model: Model, neurons: Sequence[Neuron], rows: Sequence[tuple[int, ...]], batch: int = 32
) -> Iterator[Tensor]:
    """Activations of `neurons` at every position, [neuron, pos] float32 on the CPU, a row at a time
    in the order of `rows`.

    nan where the neuron's expert does not see the token; InputError for any other number that is
    not finite. One clean pass a batch; poles do not matter.
    """
    for neuron in neurons:
        model.require(neuron)
    for start in range(0, len(rows), batch):
        some = rows[start : start + batch]
        ids, mask = padded(some, model.device)
        found = (
            token_activations(model, neurons, input_ids=ids, attention_mask=mask)
            .movedim(-1, 0)
            .cpu()
        )
        for i, row in enumerate(some):
            yield _finite(neurons, found[:, i, : len(row)])


def _finite(neurons: Sequence[Neuron], values: Tensor) -> Tensor:
    unseen = values.isnan() & torch.tensor([[neuron.expert is not None] for neuron in neurons])
    broken = (~values.isfinite() & ~unseen).nonzero()
    if len(broken):
        one, at = broken[0].tolist()
        raise InputError(
            f"neuron {neurons[one].site}: its activation is {float(values[one, at])} at token {at}"
            " of a text; load the model in float32 or leave the text out"
        )
    return values


@torch.no_grad()
def token_activations(model: Model, neurons: Sequence[Neuron], **inputs: Any) -> Tensor:
    """Activations [row, pos, neuron] of some neurons, float32, nan where an expert is not routed
    to; one pass over `inputs`.

    `inputs` are those of the transformers model: input_ids [row, pos], attention_mask,
    position_ids.
    """
    columns = [[n.index for n in neurons if n.layer == layer] for layer in range(model.n_layers)]

    def at(layer: int, seen: Tensor) -> Tensor:
        if not columns[layer]:
            return seen[:, :0]
        return seen[..., columns[layer]] if model.experts(layer) is None else seen

    with mlp_inputs(model, len(inputs["input_ids"]), at) as found:
        model.hf(**inputs, use_cache=False, logits_to_keep=1)
    values = []
    for neuron in neurons:
        seen = found[neuron.layer]
        column = columns[neuron.layer].index(neuron.index)
        one = (
            _expert_activations(model, neuron, seen)
            if isinstance(seen, Routed)
            else seen[..., column]
        )
        values.append(one.float().to(model.device))
    return torch.stack(values, -1)


def _expert_activations(model: Model, neuron: Neuron, seen: Routed) -> Tensor:
    expert, index = (
        torch.tensor([i], device=seen.tokens.device) for i in (neuron.expert or 0, neuron.index)
    )
    every = neuron_activation(
        model.experts(neuron.layer), seen.tokens.flatten(0, 1)[None], expert, index
    )[0]
    return every.view(seen.tokens.shape[:-1]).masked_fill(
        (seen.expert_ids != expert).all(-1), torch.nan
    )


def windows(model: Model, pieces: Iterable[str], size: int) -> Iterator[tuple[int, ...]]:
    """The text in `pieces` as consecutive token windows of `size`, the last one shorter; each
    begins with the BOS if texts do.

    A piece is tokenized alone, so a token never spans two of them.
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
