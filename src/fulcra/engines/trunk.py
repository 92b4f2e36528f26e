"""What rows of one batch share: below its first edited layer a row is its prompt and its tokens, whatever its dose."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fulcra.models import Applied, Model
from fulcra.types import Edits


def entry_layer(edits: Edits, n_layers: int) -> int:
    """The first layer whose block sees the edits; the last layer for a row without edits."""
    if any(edit.op == "ablate_direction" for edit in edits):
        return 0
    return min((edit.site.layer for edit in edits), default=n_layers - 1)


class Trunk:
    """Rows sorted by the layer at which they enter, and below it the trunk rows that stand for them.

    At layer l the batch holds the rows with entry <= l, then one trunk row for each distinct history of the rows still to
    come, deepest first. A row enters as a copy of its trunk row.
    """

    def __init__(self, entry: Sequence[int], history: Sequence[int], n_layers: int, device: torch.device) -> None:
        self.entry = torch.tensor(entry, device=device)
        self.n_layers = n_layers
        self.node = torch.tensor(history, device=device)
        self.regroup(torch.zeros_like(self.entry), torch.ones_like(self.entry, dtype=torch.bool))

    def regroup(self, tokens: Tensor, alive: Tensor) -> Tensor:
        """The trunk rows after one more token a row: for each its place among the old ones."""
        came = alive & (self.entry > 0)
        span = int(tokens.max()) + 1
        keys, group = torch.unique(self.node[came] * span + tokens[came], return_inverse=True)
        top = torch.zeros_like(keys).scatter_reduce(0, group, self.entry[came], "amax")
        order = top.argsort(descending=True, stable=True)
        self.node = torch.zeros_like(self.node).masked_scatter(came, order.argsort()[group])
        self.first = torch.zeros_like(order).scatter(0, self.node[came], came.nonzero()[:, 0])
        layers = torch.arange(self.n_layers, device=order.device)[:, None]
        self.own: list[int] = (self.entry <= layers).sum(1).tolist()
        self.shared: list[int] = (top[order] > layers).sum(1).tolist()
        return keys[order] // span

    def select(self, kept: Tensor) -> None:
        """The rows at `kept` stay; call `regroup` next."""
        self.entry, self.node = self.entry[kept], self.node[kept]

    def base(self) -> Tensor:
        """For each row of the batch at the embedding, a row of the whole batch with the same history."""
        return torch.cat([torch.arange(self.own[0], device=self.first.device), self.first[: self.shared[0]]])

    def widenings(self) -> dict[int, Tensor]:
        """By layer at which rows enter: for each row of its batch the place of its input in the batch of the layer below."""
        out = {}
        for layer in range(1, self.n_layers):
            before, now, left = self.own[layer - 1], self.own[layer], self.shared[layer]
            if now > before or left < self.shared[layer - 1]:
                places = torch.arange(before + left, device=self.node.device)
                # Where no trunk row is left, all who enter are over, and what they read does not matter.
                entering = before + self.node[before:now] if self.shared[layer - 1] else torch.zeros_like(self.node[before:now])
                out[layer] = torch.cat([places[:before], entering, places[before:]])
        return out


def _gathered(value: Any, index: Tensor, batch: int) -> Any:
    if isinstance(value, Tensor):
        return value.index_select(0, index) if value.dim() > 1 and value.shape[0] == batch and batch > 1 else value
    if isinstance(value, tuple):
        return tuple(_gathered(one, index, batch) for one in value)
    return value


class Widening:
    """The batch as it widens on its way up: block inputs by `steps[layer]`, masks and positions by where rows came from."""

    def __init__(self, applied: Applied) -> None:
        self.applied = applied
        self.steps: dict[int, Tensor] = {}
        self.batch = 0
        self.origin: Tensor | None = None
        self._kept: dict[int, tuple[Any, Any]] = {}

    def set(self, steps: dict[int, Tensor], batch: int) -> None:
        """The maps of the next forward pass over `batch` rows at the embedding."""
        self.steps, self.batch, self.origin, self._kept = steps, batch, None, {}

    def inputs(self, layer: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """What block `layer` gets; None where nothing has entered up to here."""
        step = self.steps.get(layer)
        if step is not None:
            self.origin = step if self.origin is None else self.origin[step]
            self.applied.rows, self._kept = len(step), {}
        if self.origin is None:
            return None
        stream, *rest = args
        stream = stream if step is None else stream.index_select(0, step)
        return (stream, *(self._side(one) for one in rest)), {name: self._side(value) for name, value in kwargs.items()}

    def _side(self, value: Any) -> Any:
        # The same mask goes to every block: gathered once for all blocks between two widenings.
        if not isinstance(value, Tensor | tuple) or self.origin is None:
            return value
        if id(value) not in self._kept:
            self._kept[id(value)] = (value, _gathered(value, self.origin, self.batch))
        return self._kept[id(value)][1]


@contextmanager
def widened(model: Model, applied: Applied, layers: Sequence[int]) -> Iterator[Widening]:
    """A widening in force inside the block, on the blocks from the first of `layers`; none where there are no layers."""
    state = Widening(applied)

    def at(layer: int) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return state.inputs(layer, args, kwargs)

        return hook

    with ExitStack() as stack:
        for layer in range(min(layers, default=model.n_layers), model.n_layers):
            stack.callback(model.blocks[layer].register_forward_pre_hook(at(layer), with_kwargs=True).remove)
        yield state
