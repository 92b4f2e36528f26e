"""The residual stream of a model in use, read after every block and summed in windows."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fulcra.errors import ModelCheckError
from fulcra.models.adapter import Model
from fulcra.models.capture import as_read
from fulcra.models.edit_hooks import Hook
from fulcra.models.read_hooks import hooked

#: Passes whose streams are summed together: one sum of many is cheaper than many.
PASSES = 16


class Lane(NamedTuple):
    """A window that is being filled by one row of the batch: how many positions, and their sum."""

    filled: int
    total: Tensor


@final
@dataclass(slots=True)
class Windows:
    """Means of r/|r| after every block over `size` positions of one row, as they are complete.

    Watched are tokens that are generated one by one; with `prompts` all but the first of a text.
    `complete` holds them by row, [layer, d_model] each, float32 on the model's device. `begun` is
    called before the first pass of a text, and so of every call of `generate`.
    """

    model: Model
    size: int
    prompts: bool = False
    tokens: int = 0
    complete: list[tuple[int, Tensor]] = field(default_factory=list)
    begun: Callable[[], None] | None = None
    _pass: list[Tensor] = field(default_factory=list)
    _streams: list[list[Tensor]] = field(default_factory=list)
    _masks: list[Tensor] = field(default_factory=list)
    _lanes: dict[int, Lane] = field(default_factory=dict)
    _left: set[int] = field(default_factory=set)
    _ended: Tensor | None = None
    _mask: Tensor | None = None
    _ends: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self._ends = torch.tensor(sorted(self.model.end_ids), device=self.model.device)

    def begin(self, ids: Tensor | None, mask: Tensor | None, cached: bool) -> None:
        """A pass begins; what one that never came to its end had read is dropped."""
        self._pass, self._mask = [], None
        if ids is not None and cached and ids.shape[1] == 1:
            self._mask = ~self._over(ids)
            return
        if not cached or self._ended is not None:
            self._begin_text()
        if ids is not None and self.prompts:
            real = torch.ones_like(ids) if mask is None else mask[:, -ids.shape[1] :]
            # the first token of a text is a sink in many models, and no window of clean text has it
            self._mask = real.bool() & (real.cumsum(-1) > (0 if cached else 1))

    def _begin_text(self) -> None:
        self._ended = None
        self._left.clear()
        if self.begun is not None:
            self.begun()

    def _over(self, ids: Tensor) -> Tensor:
        """Which rows are over as these tokens are read, both [row, 1]."""
        over = torch.isin(ids, self._ends)
        self._ended = over if self._ended is None else over | self._ended
        left = [row for row in self._left if row < len(ids)]
        self._left.clear()
        return self._ended.index_fill(0, ids.new_tensor(left), True) if left else self._ended

    def leave(self, rows: set[int]) -> None:
        """Rows of which the next pass reads padding; what they left open of a window is dropped."""
        self._left |= rows
        for row in rows:
            self._lanes.pop(row, None)

    def read(self, layer: int, stream: Tensor) -> None:
        """The stream after a block, [row, pos, d_model], kept until enough passes are together."""
        if self._mask is not None and layer == len(self._pass):
            self._pass.append(stream)

    def end(self) -> None:
        """The pass is over; ModelCheckError where a block of it was not read."""
        if self._mask is None:
            return
        if len(self._pass) < self.model.n_layers:
            raise ModelCheckError(
                f"model {self.model.name!r}: a watch read {len(self._pass)} of"
                f" {self.model.n_layers} blocks; the model is compiled or calls forward() past its"
                " modules: load it uncompiled"
            )
        self._streams.append(self._pass)
        self._masks.append(self._mask)
        self._mask = None
        if len(self._streams) >= PASSES or self._pass[0].shape[1] > PASSES:
            self.sum_up()

    @torch.no_grad()
    def sum_up(self) -> None:
        """Sum what was read, and complete the windows that are full."""
        streams, masks = self._streams, self._masks
        self._streams, self._masks = [], []
        if not masks:
            return
        if len({len(mask) for mask in masks}) > 1:
            for part, mask in zip(streams, masks, strict=True):
                self._sum(part, mask)
            return
        self._sum(
            [torch.cat(layer, 1) for layer in zip(*streams, strict=True)], torch.cat(masks, 1)
        )

    def _sum(self, streams: list[Tensor], mask: Tensor) -> None:
        units = units_of(self.model, streams)
        for row, watched in enumerate(mask.cpu()):
            self.add(row, units[row, watched.nonzero()[:, 0].to(units.device)])

    def add(self, row: int, units: Tensor) -> None:
        """Units [pos, layer, d_model] of one row put into its window, and into those after it."""
        self.tokens += len(units)
        while len(units):
            lane = self._lanes.get(row, Lane(0, torch.zeros_like(units[0])))
            part, units = units[: self.size - lane.filled], units[self.size - lane.filled :]
            lane = Lane(lane.filled + len(part), lane.total + part.sum(0))
            if lane.filled == self.size:
                self.complete.append((row, lane.total / self.size))
                lane = Lane(0, torch.zeros_like(lane.total))
            self._lanes[row] = lane

    def put(self, row: int, filled: int, total: Tensor) -> None:
        """What was left open of a row elsewhere, the sum [layer, d_model] of `filled` positions.

        With what is open of it here it is a window as soon as it has the size; it may then be up to
        twice as long, and its mean varies less.
        """
        lane = self._lanes.get(row, Lane(0, torch.zeros_like(total)))
        lane = Lane(lane.filled + filled, lane.total + total)
        if lane.filled >= self.size:
            self.complete.append((row, lane.total / lane.filled))
            lane = Lane(0, torch.zeros_like(total))
        self._lanes[row] = lane


def units_of(model: Model, streams: Sequence[Tensor]) -> Tensor:
    """r/|r| after every block, [row, pos, layer, d_model], float32 on the model's device."""
    units = [normalize(as_read(model, stream.float()), dim=-1) for stream in streams]
    return torch.stack([unit.to(model.device) for unit in units], 2)


@contextmanager
def watched_stream(windows: Windows) -> Iterator[None]:
    """Windows filled by every pass of the model inside the block.

    The stream is read where the next block, or the final norm, takes it in: no output changes, and
    a dose that another hook puts on a block's output is read too. Hooks are gone afterwards, also
    after an exception.
    """
    model = windows.model
    readers = [*model.blocks[1:], model.module(model.hf, model.family.final_norm, "final_norm")]
    with ExitStack() as stack:
        before, after = _pass_hooks(windows)
        stack.callback(model.hf.register_forward_pre_hook(before, with_kwargs=True).remove)
        stack.callback(model.hf.register_forward_hook(after).remove)
        stack.enter_context(
            hooked(
                reader.register_forward_pre_hook(_read_hook(windows, layer), with_kwargs=True)
                for layer, reader in enumerate(readers)
            )
        )
        yield


def _read_hook(windows: Windows, layer: int) -> Hook:
    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        windows.read(layer, args[0] if args else kwargs["hidden_states"])

    return hook


def _pass_hooks(windows: Windows) -> tuple[Hook, Hook]:
    def before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = {**kwargs, **dict(zip(("input_ids", "attention_mask"), args, strict=False))}
        cache = kwargs.get("past_key_values")
        cached = cache is not None and cache.get_seq_length() > 0
        windows.begin(named.get("input_ids"), named.get("attention_mask"), cached)

    def after(module: Any, args: Any, output: Any) -> None:
        windows.end()

    return before, after


#: What `generate` asks after every token: which rows are to end, [row].
Stopping = Callable[..., Tensor]


def stopping(rows: Callable[[], set[int]]) -> Stopping:
    """A stopping criterion of transformers: the rows of the batch that `rows` names end."""
    from transformers import StoppingCriteria

    class Named(StoppingCriteria):
        def __call__(self, input_ids: Tensor, scores: Any, **more: Any) -> Tensor:
            ended = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
            ended[[row for row in rows() if row < len(input_ids)]] = True
            return ended

    return Named()
