"""How a vLLM worker chooses tokens: as the local engine does, row by row, from its own numbers.

vLLM imports this by name (`logits_processors=`) where it samples; it needs vLLM to be there. Each
of its two model runners has an interface of its own for that.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast, final

import torch
from torch import Tensor
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcessor as SecondProcessor

from fulcra.engines.sampling import choose, uniforms
from fulcra.engines.vllm.plan import Named
from fulcra.types import RolloutRequest, Sampling

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.worker.gpu.sample.logits_processor.interface import (
        LogitsContext,
        LogitsProcRequestState,
    )

#: The step at which a row first met numbers that are not finite, by row; a report takes them away.
BROKEN: dict[str, int] = {}
#: Rows whose numbers may still lie in the memory that the next rows are handed.
SPOILED: set[str] = set()
#: The logits of the first step of rows that asked for them; a report takes them away.
LOGITS: dict[str, list[float]] = {}


class Row(NamedTuple):
    """One request in the batch: what it carries, and its uniform number for every step."""

    named: Named
    uniform: Tensor


def named_of(params: SamplingParams | None) -> Named | None:
    """What fulcra wrote into a request's `extra_args`; None for a request of somebody else."""
    extra = None if params is None else params.extra_args
    return None if not extra else cast("Named | None", extra.get("fulcra"))


def row_of(params: SamplingParams | None) -> Row | None:
    """The row of a request; None for one of somebody else."""
    if (named := named_of(params)) is None:
        return None
    drawn = Sampling(named["temperature"], int(named["seed"]))
    request = RolloutRequest((), (), named["horizon"], drawn)
    return Row(named, uniforms([request], named["horizon"])[0])


def leave_one(
    logits: Tensor, places: Sequence[int], rows: Sequence[Row], steps: Sequence[int]
) -> Tensor:
    """The logits with one token left at `places`, where `rows` are at `steps` of their replies."""
    if not places:
        return logits
    mine = logits[list(places)]
    chosen = _chosen(mine, rows, steps)
    logits[list(places)] = torch.full_like(mine, -torch.inf).scatter_(1, chosen[:, None], 0.0)
    return logits


def _chosen(logits: Tensor, rows: Sequence[Row], steps: Sequence[int]) -> Tensor:
    temperatures = [row.named["temperature"] for row in rows]
    uniform = torch.stack([row.uniform[step] for row, step in zip(rows, steps, strict=True)])
    for row, step, values in zip(rows, steps, logits, strict=True):
        if row.named["first_logits"] and not step:
            LOGITS[row.named["row"]] = values.tolist()
    finite = torch.isfinite(logits.sum(-1, dtype=torch.float32))
    chosen = choose(
        logits,
        torch.tensor(temperatures, device=logits.device),
        uniform.to(logits.device),
        any(temperatures),
    )
    return chosen if bool(finite.all()) else _ending(chosen, finite.tolist(), rows, steps)


def _ending(
    chosen: Tensor, finite: Sequence[bool], rows: Sequence[Row], steps: Sequence[int]
) -> Tensor:
    """The choices, those of rows that are not finite replaced by the end of their text."""
    for place, (row, step) in enumerate(zip(rows, steps, strict=True)):
        if not finite[place]:
            BROKEN.setdefault(row.named["row"], step)
            SPOILED.add(row.named["row"])
            chosen[place] = row.named["end"]
    return chosen


@final
class Tokens(LogitsProcessor):  # type: ignore[misc]  # vLLM is not always there
    """Leaves every row of ours one token, the local engine's; for the first model runner."""

    def __init__(
        self, vllm_config: "VllmConfig", device: torch.device, is_pin_memory: bool
    ) -> None:
        self.rows: dict[int, tuple[Row, Sequence[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        """That a greedy choice depends on this, so that it is called for every row."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Rows follow their requests through the batch: out, in, then moved."""
        if batch_update is None:
            return
        for place in batch_update.removed:
            self.rows.pop(place, None)
        for place, params, _, output in batch_update.added:
            self.rows.pop(place, None)
            if (row := row_of(params)) is not None:
                self.rows[place] = (row, output)
        for start, goal, direction in batch_update.moved:
            there = self.rows.pop(goal, None)
            here = self.rows.pop(start, None)
            if here is not None:
                self.rows[goal] = here
            if there is not None and direction == MoveDirectionality.SWAP:
                self.rows[start] = there

    def apply(self, logits: Tensor) -> Tensor:
        """The logits with one token left in every row of ours; those of others as they were."""
        places = sorted(place for place in self.rows if place < len(logits))
        rows = [self.rows[place][0] for place in places]
        steps = [
            min(len(self.rows[place][1]), row.named["horizon"] - 1)
            for place, row in zip(places, rows, strict=True)
        ]
        return leave_one(logits, places, rows, steps)


@final
class SecondTokens(SecondProcessor):  # type: ignore[misc]  # vLLM is not always there
    """The same for the second model runner, whose rows name the slots of their requests."""

    def __init__(self, vllm_config: "VllmConfig", req_states: "LogitsProcRequestState") -> None:
        self.rows: dict[int, Row] = {}

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """Whether a request that enters a slot is one of ours."""
        self.rows.pop(req_idx, None)
        if (row := row_of(sampling_params)) is None:
            return False
        self.rows[req_idx] = row
        return True

    def apply(self, logits: Tensor, ctx: "LogitsContext") -> Tensor:
        """The logits with one token left in every row of ours that has read its whole prompt."""
        slots, positions = ctx.expanded_idx_mapping.tolist(), ctx.pos.tolist()
        places, rows, steps = list[int](), list[Row](), list[int]()
        for place, (slot, position) in enumerate(zip(slots, positions, strict=True)):
            row = self.rows.get(slot)
            if row is not None and position + 1 >= row.named["prompt"]:
                places.append(place)
                rows.append(row)
                steps.append(min(position + 1 - row.named["prompt"], row.named["horizon"] - 1))
        return leave_one(logits, places, rows, steps)
