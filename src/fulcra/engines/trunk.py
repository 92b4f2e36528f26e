"""What rows of one batch share: below its first edited layer no row depends on its dose."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fulcra.models import Applied, Model
from fulcra.models.edit_groups import Group
from fulcra.models.edits import affine
from fulcra.types import Edit, Edits, Neuron

#: Where a row may leave the trunk: after the edited MLP's write, before the edited block, or at
#: once.
Share = Literal["write", "block", "none"]

#: What a block is called with.
Inputs = tuple[tuple[object, ...], dict[str, object]]

#: More than any vocabulary has tokens: what tells apart the token after one history from the token
#: after another.
SPAN = 1 << 32


def is_write(edit: Edit) -> bool:
    """Whether the edit adds a multiple of one column of W_down to the block's output everywhere."""
    return isinstance(edit.site, Neuron) and edit.site.expert is None and edit.positions == "all"


def entry_layer(edits: Edits, n_layers: int, share: Share) -> int:
    """The first block a row must run itself; n_layers means the final norm."""
    if share == "none" or any(edit.op == "ablate_direction" for edit in edits):
        return 0
    first = min((edit.site.layer for edit in edits), default=n_layers)
    carried = (
        share == "write"
        and first < n_layers
        and all(is_write(edit) for edit in edits if edit.site.layer == first)
    )
    return first + 1 if carried else min(first, n_layers if share == "write" else n_layers - 1)


class Trunk:
    """Rows sorted by the layer at which they enter, and the trunk rows that stand for them below.

    At layer l (n_layers: the final norm) the batch holds the rows with entry <= l, then one trunk
    row for each distinct history of the rows still to come, deepest first. A row enters as a copy
    of its trunk row.
    """

    def __init__(
        self, entry: Sequence[int], history: Sequence[int], n_layers: int, device: torch.device
    ) -> None:
        self.entry, self.n_layers = torch.tensor(entry, device=device), n_layers
        self.node = torch.tensor(history, device=device)
        self.regroup(torch.zeros_like(self.entry), torch.ones_like(self.entry, dtype=torch.bool))

    def regroup(self, tokens: Tensor, alive: Tensor) -> Tensor:
        """The trunk rows after one more token a row: for each its place among the old ones.

        Waits for the device three times.
        """
        came = (alive & (self.entry > 0)).nonzero()[:, 0]
        entry = self.entry[came]
        keys, group = torch.unique(self.node[came] * SPAN + tokens[came], return_inverse=True)
        top = torch.zeros_like(keys).scatter_reduce(0, group, entry, "amax")
        order = top.argsort(descending=True, stable=True)
        parents: Tensor = keys[order] // SPAN
        self.node = torch.zeros_like(self.node).index_copy(0, came, order.argsort()[group])
        self.first = torch.zeros_like(order).scatter(0, self.node[came], came)
        layers = torch.arange(self.n_layers + 1, device=order.device)[:, None]
        still = (parents == torch.arange(len(parents), device=order.device)).all()
        facts = torch.cat(
            [(self.entry <= layers).sum(1), (top[order] > layers).sum(1), still[None]]
        ).tolist()
        self.own: list[int] = facts[: self.n_layers + 1]
        self.shared: list[int] = facts[self.n_layers + 1 : -1]
        #: Whether the trunk rows are the first of the old ones, in their order.
        self.still = bool(facts[-1])
        return parents

    def select(self, places: Tensor) -> None:
        """The rows at `places` stay; call `regroup` next."""
        self.entry, self.node = self.entry[places], self.node[places]

    def base(self) -> Tensor:
        """For each row at the embedding, a row of the whole batch with the same history."""
        return torch.cat(
            [torch.arange(self.own[0], device=self.first.device), self.first[: self.shared[0]]]
        )

    def below(self, layer: int, rows: Tensor) -> Tensor:
        """Where the batch of the layer below holds the histories of rows that enter at `layer`."""
        # Where no trunk row is left, all who enter are over, and what they read does not matter.
        return (
            self.own[layer - 1] + self.node[rows]
            if self.shared[layer - 1]
            else torch.zeros_like(rows)
        )

    def widening(self, layer: int) -> Tensor | None:
        """The place of each row's input at `layer` in the batch below; None where nobody enters."""
        before, now, left = self.own[layer - 1], self.own[layer], self.shared[layer]
        if now == before and left == self.shared[layer - 1]:
            return None
        places = torch.arange(max(now, before + left), device=self.node.device)
        return torch.cat(
            [places[:before], self.below(layer, places[before:now]), places[before : before + left]]
        )


@dataclass(slots=True)
class _Writes(Group):
    """h <- factor * h + shift for rows that enter above the edited layer.

    What a row adds to the stream is the change of h times its vector [d_model].
    """

    rows: Tensor
    index: Tensor
    factor: Tensor
    shift: Tensor
    vectors: Tensor


def split_writes(
    model: Model, rows: Sequence[Edits], entry: Sequence[int]
) -> tuple[list[Edits], dict[int, _Writes]]:
    """The edits that hooks make in each row, and by entry layer those that rows bring with them.

    A row brings with it what it changes just below its entry.
    """
    below: dict[int, list[tuple[int, Edit]]] = {}
    for row, (edits, layer) in enumerate(zip(rows, entry, strict=True)):
        for edit in edits:
            if edit.site.layer < layer:
                below.setdefault(layer, []).append((row, edit))
    hooked = [
        tuple(edit for edit in edits if edit.site.layer >= layer)
        for edits, layer in zip(rows, entry, strict=True)
    ]
    return hooked, {layer: _writes(model, layer - 1, pairs) for layer, pairs in below.items()}


def _writes(model: Model, layer: int, pairs: Sequence[tuple[int, Edit]]) -> _Writes:
    index = torch.tensor(
        [edit.site.index for _, edit in pairs if isinstance(edit.site, Neuron)], device=model.device
    )
    factor, shift = torch.tensor(
        [affine(edit) for _, edit in pairs], device=model.device, dtype=model.dtype
    ).unbind(-1)
    rows = torch.tensor([row for row, _ in pairs], device=model.device)
    return _Writes(rows, index, factor, shift, model.writes(layer)[index])


def _gathered(value: object, index: Tensor, batch: int) -> object:
    if isinstance(value, Tensor):
        return (
            value.index_select(0, index)
            if value.dim() > 1 and value.shape[0] == batch and batch > 1
            else value
        )
    if isinstance(value, tuple):
        return tuple(_gathered(part, index, batch) for part in value)
    return value


class Widening:
    """The batch as it widens on its way up, one forward pass at a time; `widened` hooks it in."""

    def __init__(self, trunk: Trunk, writes: dict[int, _Writes], applied: Applied) -> None:
        self.trunk, self.writes, self.applied = trunk, writes, applied
        # rows that leave the batch take what they bring with them along
        applied.groups += writes.values()
        self.set()

    def set(self) -> None:
        """The next pass is one of the trunk as it stands."""
        self.steps = {
            layer: self.trunk.widening(layer) for layer in range(1, self.trunk.n_layers + 1)
        }
        self.batch = self.trunk.own[0] + self.trunk.shared[0]
        self.origin: Tensor | None = None
        self._sides: dict[int, tuple[object, object]] = {}
        self._changes: dict[int, Tensor] = {}

    def read(self, layer: int, activation: Tensor) -> None:
        """Stores what rows that enter above change in the down projection's input, [row, pos]."""
        writes = self.writes[layer + 1]
        natural = activation[self.trunk.below(layer + 1, writes.rows), :, writes.index]
        dosed = torch.addcmul(writes.shift[:, None], natural, writes.factor[:, None])
        self._changes[layer + 1] = dosed - natural
        self.applied.passes += 1

    def inputs(self, layer: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Inputs | None:
        """What block `layer` gets; None where nothing has entered up to here."""
        step = self.steps.get(layer)
        if step is not None:
            self.origin = step if self.origin is None else self.origin[step]
            self.applied.rows, self._sides = len(step), {}
            args = (self._entered(layer, args[0].index_select(0, step)), *args[1:])
        if self.origin is None:
            return None
        named = {name: self._side(value) for name, value in kwargs.items()}
        return (args[0], *(self._side(value) for value in args[1:])), named

    def _entered(self, layer: int, stream: Tensor) -> Tensor:
        if layer not in self._changes:
            return stream
        writes = self.writes[layer]
        wrote = self._changes.pop(layer)[..., None] * writes.vectors[:, None]
        return stream.index_add_(0, writes.rows, wrote.to(stream.dtype))

    def _side(self, value: object) -> object:
        # The same mask goes to every block: gathered once for all blocks between two widenings.
        if not isinstance(value, Tensor | tuple) or self.origin is None:
            return value
        if id(value) not in self._sides:
            self._sides[id(value)] = (value, _gathered(value, self.origin, self.batch))
        return self._sides[id(value)][1]


@contextmanager
def widened(
    model: Model, trunk: Trunk, writes: dict[int, _Writes], applied: Applied
) -> Iterator[Widening]:
    """A widening in force inside the block, with hooks from the first entry upwards."""
    state = Widening(trunk, writes, applied)
    first = next(
        (layer for layer, step in state.steps.items() if step is not None), model.n_layers + 1
    )

    def entering(layer: int) -> Callable[..., Inputs | None]:
        return lambda module, args, kwargs: state.inputs(layer, args, kwargs)

    def reading(layer: int) -> Callable[..., None]:
        return lambda module, args: state.read(layer, args[0])

    modules: list[nn.Module] = [*model.blocks, model.hf.get_submodule(model.family.final_norm)]
    with ExitStack() as stack:
        for layer in range(first, len(modules)):
            stack.callback(
                modules[layer].register_forward_pre_hook(entering(layer), with_kwargs=True).remove
            )
        for layer in writes:
            stack.callback(
                model.down(layer - 1).register_forward_pre_hook(reading(layer - 1)).remove
            )
        yield state
