"""The key-value cache of a decoded batch: room for every token, rows that leave and split."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

from fulcra.engines.trunk import Trunk
from fulcra.models import Model


class RowLayer(DynamicLayer):
    """Keys and values of one layer [row, head, pos, head_dim], written in place; `rows` are in use.

    transformers' own layer concatenates at every token, which copies the whole cache. Sliding
    layers are kept in full: their mask hides what lies outside the window.
    """

    def __init__(self, width: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.width, self.length, self.rows = width, 0, 0
        self.held: list[Tensor] = []

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Room for `width` tokens a row, of the shape and kind of the first states."""
        self.rows, self.dtype, self.device = (
            key_states.shape[0],
            key_states.dtype,
            key_states.device,
        )
        states = (key_states, value_states)
        self.held = [
            state.new_empty(*state.shape[:2], self.width, state.shape[-1]) for state in states
        ]
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """The keys and values so far, the new ones at the end."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        new = slice(self.length, self.length + key_states.shape[-2])
        for held, state in zip(self.held, (key_states, value_states), strict=True):
            held[: self.rows, :, new] = state
        self.length = new.stop
        keys, values = (held[: self.rows, :, : self.length] for held in self.held)
        return keys, values

    def get_seq_length(self) -> int:
        """Tokens held in each row."""
        return self.length

    def arrange(self, own: Tensor | None, own_rows: int, tail: Tensor, still: bool) -> None:
        """Puts the rows at `own` (None: all) first, of `own_rows`, and those at `tail` after them.

        `still`: the rows of `tail` are the first ones, in order.
        """
        count = own_rows if own is None else len(own)
        self.rows = count + len(tail)
        if self.is_initialized and not (still and own is None):
            self.held = [self._arranged(held, own, count, own_rows + tail) for held in self.held]

    def _arranged(self, held: Tensor, own: Tensor | None, count: int, tail: Tensor) -> Tensor:
        past = slice(self.length)
        moved = held[tail, :, past]
        if self.rows > len(held):
            held = torch.cat(
                [held, held.new_empty(self.rows + len(tail) - len(held), *held.shape[1:])]
            )
        if own is not None:
            held[:count, :, past] = held[own, :, past]
        held[count : self.rows, :, past] = moved
        return held


def row_cache(model: Model, width: int) -> DynamicCache:
    """A cache of `width` tokens a row; transformers' own where a layer is not plain attention."""
    cache = DynamicCache(config=model.hf.config)
    if all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers):
        cache.layers[:] = [RowLayer(width) for _ in cache.layers]
    return cache


def windows(model: Model) -> set[int | None]:
    """The attention windows of the model's layers, None for full attention.

    Empty where a layer keeps something else than keys and values.
    """
    layers = DynamicCache(config=model.hf.config).layers
    if any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers):
        return set()
    return {getattr(layer, "sliding_window", None) for layer in layers}


def arrange(
    cache: DynamicCache,
    before: Sequence[int],
    after: Trunk,
    own: Tensor | None,
    tail: Tensor,
    still: bool = False,
) -> None:
    """The cache of a batch whose trunk is now `after`, in place.

    Its rows are those at `own` of the batch before (None: the same), its trunk rows those at `tail`
    of the trunk before, where `before` rows a layer had entered (see `RowLayer.arrange`).
    """
    layers = row_layers(cache)
    if layers is None:
        if own is not None:
            cache.reorder_cache(own)  # type: ignore[arg-type] # recurrent layers have it too
        return
    for place, layer in enumerate(layers):
        layer.arrange(
            None if own is None else own[: after.own[place]],
            before[place],
            tail[: after.shared[place]],
            still,
        )


def row_layers(cache: Cache) -> Sequence[RowLayer] | None:
    """The layers of a cache that can be arranged one by one; None where some cannot."""
    rows = [layer for layer in cache.layers if isinstance(layer, RowLayer)]
    return rows if len(rows) == len(cache.layers) else None
