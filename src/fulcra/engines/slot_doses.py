"""Each slot's edits as tensors of fixed shape that hooks read: a new dose is a new number."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast, final

import torch
from torch import Tensor, nn

from fulcra.models import Model
from fulcra.models.adapter import by_row
from fulcra.models.edits import affine, require_edits
from fulcra.types import Direction, Edit, Edits, Neuron

#: Where an edit acts in a block: on the neurons, on what the MLP writes, on the block's output.
Kind = Literal["neuron", "add_mlp", "add_vector"]
KINDS: tuple[Kind, ...] = ("neuron", "add_mlp", "add_vector")


def kind_of(edit: Edit) -> Kind | None:
    """Where the edit acts; None for what has no place in slots (experts, an ablated direction)."""
    if isinstance(edit.site, Neuron):
        return "neuron" if edit.site.expert is None else None
    return cast(Kind, edit.op) if edit.op in KINDS else None


def generated(edits: Edits) -> Edits:
    """The edits that act while tokens are generated."""
    return tuple(edit for edit in edits if edit.positions in ("all", "generated"))


def by_layer(edits: Edits) -> dict[int, list[Edit]]:
    """The edits that act while tokens are generated, by layer."""
    layers: dict[int, list[Edit]] = defaultdict(list)
    for edit in generated(edits):
        layers[edit.site.layer].append(edit)
    return layers


def neurons_of(edits: Sequence[Edit]) -> list[tuple[int, float, float]]:
    """(index, factor, shift) of the edits that act on neurons."""
    return [(edit.site.index, *affine(edit)) for edit in edits if isinstance(edit.site, Neuron)]


def most_a_layer(rows: Sequence[Edits]) -> int:
    """The most neurons that one row edits in one layer, at least 1."""
    layers = (layer_edits for edits in rows for layer_edits in by_layer(edits).values())
    return max((len(neurons_of(layer_edits)) for layer_edits in layers), default=0) or 1


@final
class Doses:
    """h <- factor * h + shift on `index` of each layer, slot and place, [layer, slot, 1, edit].

    `vectors` are added to what MLPs and blocks write, [layer, slot, 1, d_model]. A slot without
    edits multiplies by 1 and adds 0.
    """

    def __init__(self, model: Model, slots: int, edits: int) -> None:
        shape, device, dtype = (model.n_layers, slots, 1), model.device, model.dtype
        self.model, self.slots, self.edits = model, slots, edits
        self.index = torch.zeros(*shape, edits, dtype=torch.long, device=device)
        self.factor = torch.ones(*shape, edits, device=device, dtype=dtype)
        self.shift = torch.zeros_like(self.factor)
        self.vectors: dict[Kind, Tensor] = {
            kind: torch.zeros(*shape, model.d_model, device=device, dtype=dtype)
            for kind in KINDS[1:]
        }

    @property
    def tensors(self) -> list[Tensor]:
        """Every tensor that the hooks read."""
        return [self.index, self.factor, self.shift, *self.vectors.values()]

    def put(self, slots: Tensor, rows: Sequence[Edits]) -> None:
        """The edits of new rows at `slots`, in place of those that stood there."""
        shape = (self.model.n_layers, len(rows), 1, self.edits)
        index, factor, shift = (
            torch.zeros(shape, dtype=torch.long),
            torch.ones(shape),
            torch.zeros(shape),
        )
        for vectors in self.vectors.values():
            vectors[:, slots] = 0
        for row, edits in enumerate(rows):
            require_edits(self.model, edits)
            for layer, layer_edits in by_layer(edits).items():
                if changes := neurons_of(layer_edits):
                    # a place that is left repeats the first edit: what is written twice is the same
                    changes += changes[:1] * (self.edits - len(changes))
                    place = (layer, row, 0)
                    index[place], factor[place], shift[place] = (
                        torch.tensor(column) for column in zip(*changes, strict=True)
                    )
                self._put_vectors(layer, slots[row], layer_edits)
        for held, new in ((self.index, index), (self.factor, factor), (self.shift, shift)):
            held[:, slots] = new.to(held)

    def _put_vectors(self, layer: int, slot: Tensor, edits: Sequence[Edit]) -> None:
        for kind, vectors in self.vectors.items():
            doses = [
                edit.site.vector.detach().float() * edit.value
                for edit in edits
                if edit.op == kind and isinstance(edit.site, Direction)
            ]
            if doses:
                vectors[layer, slot, 0] = torch.stack(doses).sum(0).to(vectors)

    def install(self) -> None:
        """Puts hooks on every layer, once: they read these tensors, no Python looks at a row."""
        for layer, block in enumerate(self.model.blocks):
            self.model.down(layer).register_forward_pre_hook(self._on_neurons(layer))
            self.model.down(layer).register_forward_hook(self._on_output("add_mlp", layer))
            block.register_forward_hook(self._on_output("add_vector", layer))

    def _on_neurons(self, layer: int) -> Callable[..., tuple[object, ...]]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> tuple[object, ...]:
            rows, index = by_row(args[0], self.slots), self.index[layer]
            dosed = torch.addcmul(self.shift[layer], rows.gather(-1, index), self.factor[layer])
            return (rows.scatter(-1, index, dosed).view_as(args[0]), *args[1:])

        return hook

    def _on_output(self, kind: Kind, layer: int) -> Callable[..., object]:
        def hook(module: nn.Module, args: object, output: Any) -> object:
            wrote = output if isinstance(output, Tensor) else output[0]
            moved = (by_row(wrote, self.slots) + self.vectors[kind][layer]).view_as(wrote)
            return moved if isinstance(output, Tensor) else (moved, *output[1:])

        return hook
