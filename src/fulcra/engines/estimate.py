"""What a run would cost, from a short calibration on neurons that look like those to be dosed."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fulcra.engines.budget import batch_bytes
from fulcra.engines.decoding import decode, shared
from fulcra.engines.local import shards
from fulcra.models import Model
from fulcra.types import Edit, Neuron, RolloutRequest

#: Rows of the two calibration batches; their difference tells what a row costs, their sum what a batch does.
ROWS = (48, 192)
#: A calibration may run at most this share of the requests.
PART = 4


@dataclass(frozen=True, slots=True)
class Estimate:
    """The expected cost of some requests: rollouts, generated tokens, wall seconds, and the peak of bytes held at once."""

    rollouts: int
    tokens: int
    seconds: float
    bytes: int


def estimate(model: Model, requests: Sequence[RolloutRequest]) -> Estimate:
    """The cost of running `requests` on this machine.

    The calibration doses other neurons of the same layers, as far from the stream as the ones asked for, so that nothing
    that may be committed later is rolled out. Cost: at most 528 rollouts of at most half of the requests.
    """
    weights = sum(p.numel() * p.element_size() for p in model.hf.parameters())
    if not requests:
        return Estimate(0, 0, 0.0, weights)
    shared(model)
    parts = [[requests[i] for i in shard] for shard in shards(model, requests)]
    largest = max(parts, key=len)
    samples = [_sample(model, largest, min(rows, max(1, len(largest) // PART))) for rows in ROWS]
    # The first batch of a process pays for what later ones find ready.
    decode(model, samples[0])
    (few, _), (many, tokens) = (min(_timed(model, sample) for _ in range(2)) for sample in samples)
    expected = tokens / sum(r.horizon for r in samples[1]) * sum(r.horizon for r in requests)
    seconds = sum(_extrapolated((len(samples[0]), few), (len(samples[1]), many), len(part)) for part in parts)
    return Estimate(len(requests), round(expected), seconds, weights + max(batch_bytes(model, part) for part in parts))


def _extrapolated(small: tuple[int, float], large: tuple[int, float], rows: int) -> float:
    """Seconds of a batch: a line through both batches asks too much (rows share), a power law too little (small ones pay their
    fixed costs); their geometric mean lies between."""
    (few, quick), (many, slow) = small, large
    if many == few or slow <= quick:
        return slow * rows / many
    line = slow + (slow - quick) * (rows - many) / (many - few)
    power = slow * (rows / many) ** (math.log(slow / quick) / math.log(many / few))
    return math.sqrt(max(line, 0.0) * power)


def _sample(model: Model, requests: Sequence[RolloutRequest], rows: int) -> list[RolloutRequest]:
    # Doses of one prompt share work: whole prompts are picked, so that a sample shares as much as the batch does.
    prompts = list(dict.fromkeys(request.prompt for request in requests))
    some = max(1, min(len(prompts), round(rows * len(prompts) / len(requests))))
    kept = {prompts[(2 * i + 1) * len(prompts) // (2 * some)] for i in range(some)}
    left = [request for request in requests if request.prompt in kept]
    picked = [left[i * len(left) // rows] for i in range(min(rows, len(left)))]
    return [replace(request, edits=tuple(_stand_in(model, edit) for edit in request.edits)) for request in picked]


def _stand_in(model: Model, edit: Edit) -> Edit:
    """The same edit on another neuron of the layer, its dose scaled to move the stream as far."""
    if not isinstance(edit.site, Neuron):
        return edit
    width = model.width(edit.site.layer) if edit.site.expert is None else None
    other = replace(edit.site, index=(edit.site.index + width // 2) % width if width else max(0, edit.site.index - 1))
    scale = float(model.write(edit.site).norm() / model.write(other).norm().clamp(min=1e-12)) if edit.op == "add" else 1.0
    return replace(edit, site=other, value=edit.value * scale)


def _timed(model: Model, requests: Sequence[RolloutRequest]) -> tuple[float, int]:
    start = time.perf_counter()
    rollouts = decode(model, requests)
    return time.perf_counter() - start, sum(len(r.tokens) + r.ended for r in rollouts)
