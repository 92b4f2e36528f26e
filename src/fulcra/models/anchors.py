"""The natural activations of named neurons: what pins, anchors and mean ablations are sized by."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, SupportsIndex

import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.formulas.anchor import anchored, natural_activation
from fulcra.models.adapter import Model
from fulcra.models.batches import batches, positions_of
from fulcra.models.edits import pin
from fulcra.models.traces import token_activations
from fulcra.types import Edit, Edits, Neuron

Rows = Sequence[tuple[int, ...]]


def neuron_activations(model: Model, neurons: Sequence[Neuron], **inputs: Any) -> Tensor:
    """Activations [row, pos, neuron] of `token_activations`, 0 where an expert is not routed to."""
    values = token_activations(model, neurons, **inputs)
    mixed = torch.tensor([neuron.expert is not None for neuron in neurons], device=values.device)
    return values.masked_fill(values.isnan() & mixed, 0.0)


def post_instruction(model: Model, ids: Tensor, mask: Tensor) -> Tensor:
    """Which tokens of `ids` stand between the user's words and the reply, [row, pos] bool.

    As in paper C: those of the last place where a row holds what the chat template puts there,
    whatever has been said since; where a template puts nothing, or there is none, the last token.
    InputError for a row that was not written by the template.
    """
    tail = torch.tensor(model.instruction_tail, dtype=torch.long, device=ids.device)
    width, places = max(1, len(tail)), torch.arange(ids.shape[1], device=ids.device)
    starts = mask.bool()[:, : ids.shape[1] - width + 1]
    if len(tail):
        starts = (
            starts & (ids.unfold(1, width, 1) == tail).all(-1)
            if ids.shape[1] >= width
            else starts[:, :0]
        )
    if not bool(starts.any(-1).all()):
        raise InputError(
            f"anchor: a text holds no {model.tokenizer.decode(tail)!r}, which the chat template of"
            f" {model.name} puts after the user's words; write prompts by the template"
            " (apply_chat_template)"
        )
    first = (starts * (places[: starts.shape[1]] + 1)).amax(-1) - 1
    return (places >= first[:, None]) & (places < first[:, None] + width)


def anchored_values(model: Model, edits: Sequence[Edit], **inputs: Any) -> Tensor:
    """Where each anchor pins its neuron on each prompt, [row, edit]; one hook-free pass."""
    sites = [edit.site for edit in edits if isinstance(edit.site, Neuron)]
    ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
    if ids is None or not (mask is None or (isinstance(mask, Tensor) and mask.dim() == 2)):
        raise InputError(
            "anchor: needs input_ids and an attention mask of rows and positions, to find the end"
            " of the user's words"
        )
    where = post_instruction(model, ids, torch.ones_like(ids) if mask is None else mask)
    activations = neuron_activations(model, sites, **inputs)
    # as many positions in every row: the tokens of the template
    after = activations[where].unflatten(0, (len(ids), -1))
    values = []
    for i, edit in enumerate(edits):
        assert edit.anchor is not None
        k, gap = edit.anchor
        values.append(anchored(edit.value, k, gap, natural_activation(after[..., i], gap)))
    return torch.stack(values, -1)


def at_prompts(model: Model, rows: Sequence[Edits], prompts: Rows, batch: int = 32) -> list[Edits]:
    """The edits of each row with anchors as pins, sized by its prompt. Cost: one pass a prompt."""
    anchors = list(dict.fromkeys(edit for edits in rows for edit in edits if edit.op == "anchor"))
    if not anchors:
        return list(rows)
    anchored_rows = (
        prompt
        for edits, prompt in zip(rows, prompts, strict=True)
        if any(edit.op == "anchor" for edit in edits)
    )
    different = list(dict.fromkeys(anchored_rows))
    values: dict[tuple[int, ...], list[float]] = {}
    for part in batches(model, different, batch, left=True):
        sizes = anchored_values(model, anchors, **part.inputs)
        values.update(zip(different[part.rows], sizes.tolist(), strict=True))

    def sized(edit: Edit, prompt: tuple[int, ...]) -> Edit:
        if edit.op != "anchor":
            return edit
        return replace(edit, op="pin", value=values[prompt][anchors.index(edit)], anchor=None)

    return [
        tuple(sized(edit, prompt) for edit in edits)
        for edits, prompt in zip(rows, prompts, strict=True)
    ]


def anchor_gaps(
    model: Model, neurons: Sequence[Neuron], positive: Rows, negative: Rows, batch: int = 32
) -> list[float]:
    """d = a_H - a_h of each neuron: means after instructions, positive - negative (paper C)."""
    means = [_mean(model, neurons, rows, post_instruction, batch) for rows in (positive, negative)]
    return [a - b for a, b in zip(*means, strict=True)]


def activation_means(
    model: Model, neurons: Sequence[Neuron], rows: Rows, batch: int = 32
) -> list[float]:
    """Mean activation of each neuron over all positions of `rows` but the first."""
    return _mean(model, neurons, rows, _but_the_first, batch)


def ablate_mean(model: Model, neuron: Neuron, prompts: Rows) -> Edit:
    """Mean ablation: the neuron pinned at its mean activation over named prompts, token ids.

    InputError for a prompt of words, or one that is no row of whole numbers.
    """
    for row in prompts:
        if isinstance(row, str) or not all(isinstance(token, SupportsIndex) for token in row):
            raise InputError(
                f"ablate_mean(): prompts holds {row!r:.40}; give token ids, model.prompt_ids(text)"
            )
    return pin(neuron, activation_means(model, [neuron], prompts)[0])


def _but_the_first(model: Model, ids: Tensor, mask: Tensor) -> Tensor:
    return mask.bool() & (positions_of(mask) > 0)


def _mean(
    model: Model,
    neurons: Sequence[Neuron],
    rows: Rows,
    where: Callable[[Model, Tensor, Tensor], Tensor],
    batch: int,
) -> list[float]:
    total, count = torch.zeros(len(neurons), device=model.device), 0
    for neuron in neurons:
        model.require(neuron)
    for part in batches(model, rows, batch, left=True):
        here = where(model, part.ids, part.mask)
        values = neuron_activations(model, neurons, **part.inputs)[here]
        total, count = total + values.sum(0), count + len(values)
    if not count:
        raise InputError(
            f"mean activation: {len(rows)} prompts hold no position but the first; give longer ones"
        )
    return [float(value) for value in total / count]
