"""Edits on a running model: every row of a batch may carry its own, one hook a layer."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from fulcra.errors import InputError
from fulcra.models.adapter import Model
from fulcra.models.anchors import anchored_values
from fulcra.models.edit_groups import Affine, Anchored, Applied, ExpertAffine, Vectors
from fulcra.models.edit_hooks import (
    ablation_hooks,
    expert_hook,
    neuron_hook,
    pass_hook,
    vector_hook,
)
from fulcra.models.edits import affine, require_edits
from fulcra.models.read_hooks import mlp_place
from fulcra.types import Direction, Edit, Edits, Neuron, Positions


class _Place(NamedTuple):
    """Where edits act together: kind is neuron, expert, or the op of a direction."""

    layer: int
    positions: Positions
    kind: str


@contextmanager
def applied_rows(
    model: Model, rows: Sequence[Edits] | Edits, every_row: bool = False
) -> Iterator[Applied]:
    """Edits in force inside the block: `rows[i]` acts on row i, or one set on `every_row`.

    Yields the running count of edited passes; hooks are gone afterwards, also after an exception.
    Anchors are sized anew by every batch of prompts, in a pass of their own in which no edit acts.
    """
    places = _by_place(model, cast(Sequence[Edits], [rows] if every_row else rows))
    applied = Applied()
    with ExitStack() as stack:
        if places:
            hook = pass_hook(applied, lambda inputs: _size_anchors(model, applied, inputs))
            stack.callback(model.hf.register_forward_pre_hook(hook, with_kwargs=True).remove)
        for place, pairs in places.items():
            for handle in _install(model, place, pairs, every_row, applied):
                stack.callback(handle.remove)
        yield applied


def _by_place(model: Model, rows: Sequence[Edits]) -> dict[_Place, list[tuple[int, Edit]]]:
    places: dict[_Place, list[tuple[int, Edit]]] = defaultdict(list)
    for row, edits in enumerate(rows):
        require_edits(model, edits)
        for edit in edits:
            places[_place_of(edit)].append((row, edit))
    return places


def _place_of(edit: Edit) -> _Place:
    if isinstance(edit.site, Direction):
        return _Place(edit.site.layer, edit.positions, edit.op)
    kind = "neuron" if edit.site.expert is None else "expert"
    return _Place(edit.site.layer, edit.positions, kind)


def _install(
    model: Model, place: _Place, pairs: list[tuple[int, Edit]], every_row: bool, applied: Applied
) -> list[Any]:
    if place.kind in ("neuron", "expert"):
        return _install_neurons(model, place, pairs, every_row, applied)
    group = _vectors(model, place, pairs, every_row)
    applied.groups.append(group)
    if place.kind == "ablate_direction":
        return _install_ablation(model, group, applied)
    module = (
        model.blocks[place.layer] if place.kind == "add_vector" else mlp_place(model, place.layer)
    )
    return [module.register_forward_hook(vector_hook(group, place.positions, applied))]


def _install_neurons(
    model: Model, place: _Place, pairs: list[tuple[int, Edit]], every_row: bool, applied: Applied
) -> list[Any]:
    device = model.device_at(place.layer)
    rows = None if every_row else torch.tensor([row for row, _ in pairs], device=device)
    sites = [edit.site for _, edit in pairs if isinstance(edit.site, Neuron)]
    index = torch.tensor([site.index for site in sites], device=device)
    factor, shift = torch.tensor(
        [affine(edit) for _, edit in pairs], device=device, dtype=model.dtype
    ).unbind(-1)
    group: Affine | ExpertAffine
    if place.kind == "neuron":
        group = Affine(rows, index, factor, shift.clone())
        handle = model.down(place.layer).register_forward_pre_hook(
            neuron_hook(group, place.positions, applied)
        )
    else:
        expert = torch.tensor([site.expert for site in sites], device=device)
        reads = any(edit.op != "add" for _, edit in pairs)
        group = ExpertAffine(rows, expert, index, factor, shift.clone(), reads)
        experts = cast(nn.Module, model.experts(place.layer))
        handle = experts.register_forward_hook(expert_hook(group, place.positions, applied))
    applied.groups.append(group)
    anchors = {i: edit for i, (_, edit) in enumerate(pairs) if edit.op == "anchor"}
    if anchors:
        applied.anchors.append(Anchored(group, list(anchors), list(anchors.values())))
    return [handle]


def _vectors(
    model: Model, place: _Place, pairs: list[tuple[int, Edit]], every_row: bool
) -> Vectors:
    """The vectors of each row, those that are added to one row summed."""
    device, sums = model.device_at(place.layer), dict[int, Tensor]()
    for row, edit in pairs:
        vector = cast(Direction, edit.site).vector.detach().float().to(device)
        vector = vector / vector.norm() if place.kind == "ablate_direction" else vector * edit.value
        sums[row] = sums[row] + vector if row in sums else vector
    return Vectors(
        None if every_row else torch.tensor(list(sums), device=device),
        torch.stack(list(sums.values())),
    )


def _install_ablation(model: Model, group: Vectors, applied: Applied) -> list[Any]:
    """The direction taken out of the stream wherever a module reads it.

    At the first block, at every MLP, after every block.
    """
    before, after = ablation_hooks(group, applied)
    readers = [model.module(block, model.family.mlp_reads, "mlp_reads") for block in model.blocks]
    handles = [reader.register_forward_pre_hook(before) for reader in (model.blocks[0], *readers)]
    return handles + [block.register_forward_hook(after) for block in model.blocks]


def _size_anchors(model: Model, applied: Applied, inputs: dict[str, Any]) -> None:
    if applied.phase == "generated":
        if not applied.sized:
            raise InputError(
                "anchor: the prompt was read before the edit was in force; begin the block before"
                " the prompt runs"
            )
        return
    applied.asleep = True
    try:
        edits = [edit for anchors in applied.anchors for edit in anchors.edits]
        values = anchored_values(model, edits, **inputs)
    finally:
        applied.asleep = False
    parts = values.split([len(anchors.edits) for anchors in applied.anchors], -1)
    for anchors, part in zip(applied.anchors, parts, strict=True):
        anchors.size(part)
    applied.sized = True
