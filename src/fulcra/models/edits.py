"""Interventions on a running model: every row of a batch may carry edits of its own, one hook a layer."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from fulcra.errors import InputError
from fulcra.models.adapter import Model
from fulcra.types import Branch, Direction, Edit, Edits, Neuron, Positions


def add(site: Branch, gain: float | None = None, alpha: float | None = None, positions: Positions = "all") -> Edit:
    """A dose added to a neuron's activation: `gain` in budgets B (signed by the pole) or `alpha` in activation units."""
    if (gain is None) == (alpha is None):
        raise InputError(f"add({site}): give exactly one of gain= (in budgets) and alpha= (activation units)")
    op = "add_vector" if isinstance(site, Direction) else "add"
    return Edit(site, op, float("nan") if alpha is None else alpha, gain, positions)


def scale(neuron: Neuron, factor: float, positions: Positions = "all") -> Edit:
    """The activation multiplied by `factor`: 0 ablates, 1 changes nothing."""
    return Edit(neuron, "scale", factor, None, positions)


def pin(neuron: Neuron, value: float, positions: Positions = "all") -> Edit:
    """The activation held at `value` [activation units]."""
    return Edit(neuron, "pin", value, None, positions)


def ablate_direction(direction: Direction) -> Edit:
    """A direction removed from the residual stream after every write to it, at every layer and position."""
    return Edit(direction, "ablate_direction", 1.0)


@dataclass(slots=True)
class _Group:
    """Edits of one kind at one place; `rows` [n] are the rows of the batch they act on, None means every row."""

    rows: Tensor | None

    def select(self, place: Tensor) -> None:
        """The edits whose row has a place [row] (-1: none) in a new batch, moved there."""
        if self.rows is None:
            return
        moved = place.to(self.rows.device)[self.rows]
        for name in (field.name for field in fields(self) if isinstance(getattr(self, field.name), Tensor)):
            setattr(self, name, getattr(self, name)[moved >= 0])
        self.rows = moved[moved >= 0]

    @property
    def idle(self) -> bool:
        """Whether no row is left to act on."""
        return self.rows is not None and not len(self.rows)


@dataclass(slots=True)
class _Affine(_Group):
    """h <- factor * h + shift on (row, index) pairs of one layer."""

    index: Tensor
    factor: Tensor
    shift: Tensor


@dataclass(slots=True)
class _Vectors(_Group):
    """x <- x + vector on rows of one block's output; vectors [n, d_model]."""

    vectors: Tensor


@dataclass(slots=True)
class Applied:
    """A running set of edits: the phase and the rows of the present pass, and how many edited passes went through a hook."""

    phase: str = "prompt"
    passes: int = 0
    rows: int = 0
    groups: list[_Group] = field(default_factory=list)

    def select(self, kept: Tensor, rows: int) -> None:
        """The batch goes on with the rows at `kept` of its `rows` rows, in that order."""
        place = kept.new_full((rows,), -1)
        place[kept] = torch.arange(len(kept), device=kept.device)
        for group in self.groups:
            group.select(place)

    def covers(self, positions: Positions) -> bool:
        """Whether edits at `positions` act in the present phase."""
        return positions == "all" or (positions in ("prompt", "last")) == (self.phase == "prompt")


def affine(edit: Edit) -> tuple[float, float]:
    """(factor, shift) of a neuron's edit, h <- factor * h + shift; InputError while the dose is in gain units."""
    if edit.value != edit.value:
        raise InputError(f"{edit}: its dose is still in gain units; apply it with fulcra.edit, which knows the budget")
    return {"add": (1.0, edit.value), "scale": (edit.value, 0.0), "pin": (0.0, edit.value)}[edit.op]


def _check(model: Model, edits: Edits) -> None:
    sites = [edit.site for edit in edits if isinstance(edit.site, Neuron)]
    for site in sites:
        model.require(site)
    if len({(s.layer, s.index) for s in sites}) < len(sites):
        raise InputError(f"edits {', '.join(map(str, edits))}: one neuron is edited twice in one row; give one edit a neuron")


def _by_place(model: Model, rows: Sequence[Edits]) -> dict[tuple[int, Positions, str], list[tuple[int, Edit]]]:
    places: dict[tuple[int, Positions, str], list[tuple[int, Edit]]] = defaultdict(list)
    for row, edits in enumerate(rows):
        _check(model, edits)
        for edit in edits:
            kind = "neuron" if isinstance(edit.site, Neuron) else edit.op
            places[edit.site.layer, edit.positions, kind].append((row, edit))
    return places


def _span(x: Tensor, positions: Positions) -> Tensor:
    return x[:, -1:] if positions == "last" else x


def _neuron_hook(group: _Affine, positions: Positions, applied: Applied) -> Any:
    def hook(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not applied.covers(positions) or group.idle:
            return None
        x = args[0].clone() if torch.is_grad_enabled() else args[0]
        part = _span(x, positions)
        if group.rows is None:
            part[..., group.index] = part[..., group.index] * group.factor + group.shift
        else:
            place = (group.rows, slice(None), group.index)
            part[place] = torch.addcmul(group.shift[:, None], part[place], group.factor[:, None])
        applied.passes += 1
        return (x, *args[1:])

    return hook


def _stream_hook(group: _Vectors, positions: Positions, applied: Applied) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        if not applied.covers(positions) or group.idle:
            return None
        stream = output if isinstance(output, Tensor) else output[0]
        stream = stream.clone()
        part = _span(stream, positions)
        part[slice(None) if group.rows is None else group.rows] += group.vectors[:, None].to(stream.dtype)
        applied.passes += 1
        return stream if isinstance(output, Tensor) else (stream, *output[1:])

    return hook


def _removed(stream: Tensor, group: _Vectors) -> Tensor:
    unit = group.vectors[:, None].to(stream.dtype)
    rows = slice(None) if group.rows is None else group.rows
    stream = stream.clone()
    stream[rows] -= (stream[rows] * unit).sum(-1, keepdim=True) * unit
    return stream


def _install(model: Model, key: tuple[int, Positions, str], pairs: list[tuple[int, Edit]], every_row: bool, applied: Applied) -> list[Any]:
    layer, positions, kind = key
    device, dtype = model.device, model.dtype
    if kind == "neuron":
        rows = None if every_row else torch.tensor([row for row, _ in pairs], device=device)
        index = torch.tensor([edit.site.index for _, edit in pairs if isinstance(edit.site, Neuron)], device=device)
        factor, shift = torch.tensor([affine(edit) for _, edit in pairs], device=device, dtype=dtype).unbind(-1)
        group = _Affine(rows, index, factor, shift)
        applied.groups.append(group)
        return [model.down(layer).register_forward_pre_hook(_neuron_hook(group, positions, applied))]
    by_row: dict[int, Tensor] = {}
    for row, edit in pairs:
        if isinstance(edit.site, Direction):
            vector = edit.site.vector.float() * (edit.value if kind == "add_vector" else 1.0)
            by_row[row] = by_row[row] + vector if row in by_row else vector
    rows = None if every_row else torch.tensor(list(by_row), device=device)
    vectors = torch.stack(list(by_row.values())).to(device)
    group = _Vectors(rows, vectors if kind == "add_vector" else vectors / vectors.norm(dim=-1, keepdim=True))
    applied.groups.append(group)
    if kind == "add_vector":
        return [model.blocks[layer].register_forward_hook(_stream_hook(group, positions, applied))]
    return _install_ablation(model, group, applied)


def _install_ablation(model: Model, group: _Vectors, applied: Applied) -> list[Any]:
    def after(module: nn.Module, args: Any, output: Any) -> Any:
        applied.passes += 1
        return _removed(output, group) if isinstance(output, Tensor) else (_removed(output[0], group), *output[1:])

    # The embedding and every block's output suffice between blocks; the two writes inside a block are cleaned one by one.
    handles = [model.hf.get_input_embeddings().register_forward_hook(after)]
    for block in model.blocks:
        for child in block.children():
            if "Attention" in type(child).__name__ or "MLP" in type(child).__name__:
                handles.append(child.register_forward_hook(after))
        handles.append(block.register_forward_hook(after))
    return handles


def _phase_hook(applied: Applied) -> Any:
    def hook(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        cache = kwargs.get("past_key_values")
        applied.phase = "generated" if cache is not None and cache.get_seq_length() > 0 else "prompt"

    return hook


@contextmanager
def applied_rows(model: Model, rows: Sequence[Edits] | Edits, every_row: bool = False) -> Iterator[Applied]:
    """Edits in force inside the block: `rows[i]` acts on row i of each batch, or one set on `every_row`.

    Yields the running count of edited passes; hooks are gone afterwards, also after an exception.
    """
    places = _by_place(model, [rows] if every_row else rows)  # type: ignore[list-item]
    applied = Applied()
    with ExitStack() as stack:
        if places:
            stack.callback(model.hf.register_forward_pre_hook(_phase_hook(applied), with_kwargs=True).remove)
        for key, pairs in places.items():
            for handle in _install(model, key, pairs, every_row, applied):
                stack.callback(handle.remove)
        yield applied
