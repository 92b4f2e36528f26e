"""The stream of a running vLLM worker, averaged over windows of each row's reply tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict, final

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from fulcra.engines.vllm.plan import Geometry
from fulcra.engines.vllm.rows import Stretch, Table, stretches


class Watched(TypedDict):
    """What was read of one row: its reply tokens, its full windows, the one that is open.

    A window is the bytes of a float32 tensor, [layer, d_model]; the open one is the sum of `filled`
    tokens.
    """

    tokens: int
    windows: list[bytes]
    filled: int
    open: bytes


@dataclass(slots=True)
class _Lane:
    """A row's reply tokens so far, those in its open window with their sum, its full windows."""

    read: int = 0
    filled: int = 0
    total: Tensor | None = None
    windows: list[bytes] = field(default_factory=list)


@final
class Lanes:
    """Hooks that read the stream after every block; means of r/|r| over `size` tokens of a row.

    `centred`: r is centred over d_model first, as LayerNorm reads it. No output changes.
    """

    def __init__(
        self, table: Table, model: nn.Module, geometry: Geometry, size: int, centred: bool
    ) -> None:
        self.table, self.size, self.centred = table, size, centred
        self.lanes: dict[str, _Lane] = {}
        self.reading: list[tuple[str, slice]] = []
        self.units: list[Tensor] = []
        blocks = [model.get_submodule(name) for name in geometry["blocks"]]
        self.hooks = [model.register_forward_pre_hook(self._pass, with_kwargs=True)]
        self.hooks += [block.register_forward_hook(self._after) for block in blocks]
        self.hooks.append(blocks[-1].register_forward_hook(self._sum_up))

    def remove(self) -> None:
        """The model is as it was."""
        for hook in self.hooks:
            hook.remove()

    def forget(self, row: str) -> Watched:
        """What was read of a row, which is over."""
        lane = self.lanes.pop(row, _Lane())
        left = b"" if lane.total is None else _bytes(lane.total)
        return Watched(tokens=lane.read, windows=lane.windows, filled=lane.filled, open=left)

    def _pass(self, module: nn.Module, args: object, inputs: Mapping[str, Any]) -> None:
        self.units = []
        self.reading = [
            (stretch.named["row"], rows)
            for stretch in stretches(self.table, inputs)
            if (rows := self._replies(stretch)).start < rows.stop
        ]

    def _replies(self, stretch: Stretch) -> slice:
        """The rows of a pass that hold reply tokens not read before, as after a preemption."""
        lane = self.lanes.setdefault(stretch.named["row"], _Lane())
        first = max(stretch.at, stretch.named["prompt"] + lane.read)
        return slice(stretch.start + first - stretch.at, stretch.start + stretch.length)

    def _after(self, module: nn.Module, args: object, output: object) -> None:
        if not self.reading:
            return
        # vLLM carries the stream in two parts
        parts = output if isinstance(output, tuple) else (output,)
        stream = torch.stack([part.float() for part in parts if isinstance(part, Tensor)]).sum(0)
        if self.centred:
            stream = stream - stream.mean(-1, keepdim=True)
        self.units.append(normalize(stream, dim=-1))

    def _sum_up(self, module: nn.Module, args: object, output: object) -> None:
        for row, rows in self.reading:
            self._add(self.lanes[row], torch.stack([unit[rows] for unit in self.units], 1))

    def _add(self, lane: _Lane, units: Tensor) -> None:
        """Units [token, layer, d_model] put into the window of a row, and into those after it."""
        lane.read += len(units)
        while len(units):
            part, units = units[: self.size - lane.filled], units[self.size - lane.filled :]
            lane.filled += len(part)
            lane.total = part.sum(0) + (0 if lane.total is None else lane.total)
            if lane.filled == self.size:
                lane.windows.append(_bytes(lane.total / self.size))
                lane.filled, lane.total = 0, None


def _bytes(values: Tensor) -> bytes:
    content: bytes = values.float().cpu().numpy().tobytes()
    return content
