"""The hooks through which a group of edits acts on a running model."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fulcra.models.adapter import by_row
from fulcra.models.edit_groups import Affine, Applied, ExpertAffine, Vectors
from fulcra.models.experts import Routed, expert_change
from fulcra.types import Positions

Hook = Callable[..., Any]
#: What a pass reads, of all that a transformers model is called with.
INPUTS = ("input_ids", "inputs_embeds", "attention_mask", "position_ids")


def _span(x: Tensor, positions: Positions) -> Tensor:
    return x[:, -1:] if positions == "last" else x


def neuron_hook(group: Affine, positions: Positions, applied: Applied) -> Hook:
    """Before a down projection: its input edited."""

    def hook(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not applied.acts(group, positions):
            return None
        x = args[0].clone() if torch.is_grad_enabled() else args[0]
        part = _span(by_row(x, applied.rows), positions)
        if group.rows is None:
            part[..., group.index] = part[..., group.index] * group.factor + group.shift
        else:
            place = (group.rows, slice(None), group.index)
            part[place] = torch.addcmul(group.shift[:, None], part[place], group.factor[:, None])
        applied.passes += 1
        return (x, *args[1:])

    return hook


def expert_hook(group: ExpertAffine, positions: Positions, applied: Applied) -> Hook:
    """After the experts of a layer: their output, as the edited neurons would have made it."""

    def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if not applied.acts(group, positions):
            return None
        rows, edits = _by_rows(group, applied.rows)
        calls = Routed(*(_span(by_row(part, applied.rows), positions)[rows] for part in args[:3]))
        change = expert_change(module, calls, edits).to(output.dtype)
        changed = output.clone()
        _span(by_row(changed, applied.rows), positions).index_add_(0, rows, change)
        applied.passes += 1
        return changed

    return hook


def _by_rows(group: ExpertAffine, batch: int) -> tuple[Tensor, ExpertAffine]:
    """The row of each edit, and the edits; those of every row are repeated for each of `batch`."""
    if group.rows is not None:
        return group.rows, group
    rows = torch.arange(batch, device=group.index.device).repeat_interleave(len(group.index))
    shift = group.shift.repeat(batch) if group.shift.dim() == 1 else group.shift.flatten()
    expert, index, factor = (
        column.repeat(batch) for column in (group.expert, group.index, group.factor)
    )
    return rows, ExpertAffine(rows, expert, index, factor, shift, group.reads)


def vector_hook(group: Vectors, positions: Positions, applied: Applied) -> Hook:
    """After a module that writes to the stream: vectors added to its output."""

    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        if not applied.acts(group, positions):
            return None
        wrote = (output if isinstance(output, Tensor) else output[0]).clone()
        part = _span(by_row(wrote, applied.rows), positions)
        part[slice(None) if group.rows is None else group.rows] += group.vectors[:, None].to(
            wrote.dtype
        )
        applied.passes += 1
        return wrote if isinstance(output, Tensor) else (wrote, *output[1:])

    return hook


def ablation_hooks(group: Vectors, applied: Applied) -> tuple[Hook, Hook]:
    """Before a module that reads the stream, and after a block: unit directions taken out of it."""

    def before(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return (
            (_without(args[0], group, applied), *args[1:]) if applied.acts(group, "all") else None
        )

    def after(module: nn.Module, args: Any, output: Any) -> Any:
        if not applied.acts(group, "all"):
            return None
        applied.passes += 1
        return (
            _without(output, group, applied)
            if isinstance(output, Tensor)
            else (_without(output[0], group, applied), *output[1:])
        )

    return before, after


def _without(stream: Tensor, group: Vectors, applied: Applied) -> Tensor:
    cleaned = stream.clone()
    unit = group.vectors[:, None].to(stream.device, stream.dtype)
    rows = slice(None) if group.rows is None else group.rows.to(stream.device)
    part = by_row(cleaned, applied.rows)
    part[rows] -= (part[rows] * unit).sum(-1, keepdim=True) * unit
    return cleaned


def pass_hook(applied: Applied, size_anchors: Callable[[dict[str, Any]], None]) -> Hook:
    """Before the whole model: rows and phase of the pass, and anchors sized by its prompts."""

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if applied.asleep:
            return
        named = {**kwargs, **dict(zip(("input_ids",), args, strict=False))}
        inputs = {name: named[name] for name in INPUTS if named.get(name) is not None}
        applied.rows = len(inputs["input_ids" if "input_ids" in inputs else "inputs_embeds"])
        cache = kwargs.get("past_key_values")
        cached = cache is not None and cache.get_seq_length() > 0
        applied.phase = "generated" if cached else "prompt"
        if applied.anchors:
            size_anchors(inputs)

    return hook
