"""What a run would cost, from a small and a larger sample of it on stand-in neurons."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from fulcra.engines.decoding import decode, shared
from fulcra.engines.local import shards
from fulcra.engines.memory import batch_bytes, held_bytes
from fulcra.models import Model
from fulcra.types import Edit, Neuron, RolloutRequest

#: One request in so many is run; but ENOUGH of them, or half of all, so that a row's cost stands
#: out from a batch's.
PART, ENOUGH = 16, 96
#: Rows of the small sample: what they take is mostly what a batch of any size takes.
FEW = 24
#: Doses of one prompt in a sample: they share what lies below their edits.
DOSES = 64

T = TypeVar("T")
#: Runs some of the requests, those at these places; the tokens they said.
Run = Callable[[Sequence[int], Sequence[RolloutRequest]], int]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The expected cost of a run: rollouts, their tokens, wall and CPU seconds, peak bytes.

    The ends of replies are not counted as tokens.
    """

    rollouts: int = 0
    tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    bytes: int = 0

    def __add__(self, other: "Estimate") -> "Estimate":
        """The cost of one run after the other: sums, and the larger peak."""
        return Estimate(
            self.rollouts + other.rollouts,
            self.tokens + other.tokens,
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            max(self.bytes, other.bytes),
        )

    def minus(self, other: "Estimate") -> "Estimate":
        """The seconds that this takes longer than the other."""
        return Estimate(
            seconds=max(0.0, self.seconds - other.seconds),
            cpu_seconds=max(0.0, self.cpu_seconds - other.cpu_seconds),
        )

    def times(self, share: float) -> "Estimate":
        """So many times the same work, one after the other."""
        return replace(
            self,
            rollouts=round(self.rollouts * share),
            tokens=round(self.tokens * share),
            seconds=self.seconds * share,
            cpu_seconds=self.cpu_seconds * share,
        )


def timed(work: Callable[[], T]) -> tuple[T, Estimate]:
    """What `work` returns, and the seconds it takes, those of all threads as CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, Estimate(
        seconds=time.perf_counter() - wall, cpu_seconds=time.process_time() - cpu
    )


def line(few: tuple[int, Estimate], many: tuple[int, Estimate], size: float) -> Estimate:
    """The cost of one piece of work of `size`, on the line through two that were measured.

    The line never falls with size.
    """
    (low, small), (high, large) = few, many
    if high <= low:
        return large.times(size / high)

    def at(less: float, more: float) -> float:
        slope = min(max(0.0, more - less) / (high - low), more / high)
        return more + slope * (size - high)

    return Estimate(
        0,
        round(large.tokens / high * size),
        at(small.seconds, large.seconds),
        at(small.cpu_seconds, large.cpu_seconds),
        large.bytes,
    )


def estimate(
    model: Model,
    requests: Sequence[RolloutRequest],
    run: Run | None = None,
    together: int | None = None,
) -> Estimate:
    """The cost of running `requests` on this machine, by `run`, `together` at a time.

    The samples dose other neurons of the same layers, as far from the stream as the ones asked for,
    so that nothing that may be committed later is rolled out. Cost: one rollout in sixteen, and at
    least 120 or three quarters of them.
    """
    held = held_bytes(model.device)
    if not requests:
        return Estimate(bytes=held)
    shared(model)
    step = together or len(requests)
    parts = [requests[start : start + step] for start in range(0, len(requests), step)]
    batches = [[part[i] for i in shard] for part in parts for shard in shards(model, part)]
    rows = min(
        max(map(len, batches)), max(ENOUGH, len(requests) // PART), math.ceil(len(requests) / 2)
    )
    few, many = (
        _measured(model, requests, run or _decoded(model), size)
        for size in (min(FEW, math.ceil(rows / 2)), rows)
    )
    cost = sum((line(few, many, len(batch)) for batch in batches), Estimate())
    return replace(
        cost,
        rollouts=len(requests),
        bytes=held + max(batch_bytes(model, batch) for batch in batches),
    )


def _decoded(model: Model) -> Run:
    return lambda places, requests: sum(len(r.tokens) for r in decode(model, requests))


def _measured(
    model: Model, requests: Sequence[RolloutRequest], run: Run, rows: int
) -> tuple[int, Estimate]:
    places = _sample(requests, rows)
    sample = [_stand_ins(model, requests[i]) for i in places]
    tokens, cost = timed(lambda: run(places, sample))
    return len(places), replace(cost, tokens=tokens)


def _sample(requests: Sequence[RolloutRequest], rows: int) -> list[int]:
    """Places of so many requests, those of whole prompts together."""
    rng = random.Random(rows)
    prompts = sorted({request.prompt for request in requests})
    count = min(len(prompts), math.ceil(max(rows / DOSES, rows * len(prompts) / len(requests))))
    chosen = set(rng.sample(prompts, count))
    left = [i for i, request in enumerate(requests) if request.prompt in chosen]
    return rng.sample(left, min(rows, len(left)))


def _stand_ins(model: Model, request: RolloutRequest) -> RolloutRequest:
    """The request on other neurons of its layers, doses scaled to move the stream as far."""
    return replace(request, edits=tuple(_stand_in(model, edit) for edit in request.edits))


def _stand_in(model: Model, edit: Edit) -> Edit:
    if not isinstance(edit.site, Neuron):
        return edit
    width = model.width(edit.site.layer) if edit.site.expert is None else None
    other = replace(
        edit.site,
        index=(edit.site.index + width // 2) % width if width else max(0, edit.site.index - 1),
    )
    size, other_size = (float(model.write(site).norm()) for site in (edit.site, other))
    return replace(
        edit,
        site=other,
        value=edit.value * size / other_size if edit.op == "add" and other_size else edit.value,
    )
