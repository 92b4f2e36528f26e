"""How many rows fit: a constant decides what runs together, free memory only how it is split."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar
from weakref import WeakSet

import psutil  # type: ignore[import-untyped]
import torch
from transformers import PreTrainedModel

from fulcra.engines.incidents import Halved, tell
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.types import RolloutRequest

logger = logging.getLogger(__name__)

Row = TypeVar("Row")
Made = TypeVar("Made")
#: What the message of an error says where memory ran out, on any device.
SIGNS = (
    "not enough memory",
    "out of memory",
    "DefaultCPUAllocator",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
_SHOWN: "WeakSet[PreTrainedModel]" = WeakSet()
#: What ran out of memory may raise.
MEMORY_ERRORS = (RuntimeError, MemoryError)
#: Bytes one batch may take by kind of device. Constants, so that batches depend on the requests
#: alone (docs/decisions).
BYTES = {"cpu": 512 << 20}
ACCELERATOR_BYTES = 8 << 30
MAX_ROWS = 768
#: The share of free memory a batch may take: estimates leave out the allocator's own needs.
FREE_SHARE = 0.5


def row_bytes(model: Model, prompt: int, horizon: int) -> int:
    """Bytes of one row: its keys and values, the widest activations of its prompt, its logits."""
    text = model.hf.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or model.d_model // text.num_attention_heads
    cache = 2 * model.n_layers * heads * head_dim * (prompt + horizon)
    pass_ = prompt * (3 * model.d_mlp + 6 * model.d_model) + 3 * model.vocab
    return int((cache + pass_) * model.dtype.itemsize)


def batch_bytes(model: Model, requests: Sequence[RolloutRequest]) -> int:
    """Bytes of a batch of these requests."""
    return len(requests) * row_bytes(
        model, max(len(r.prompt) for r in requests), max(r.horizon for r in requests)
    )


def free_bytes(device: torch.device) -> int:
    """Bytes that are free on a device now."""
    return int(
        torch.cuda.mem_get_info(device)[0]
        if device.type == "cuda"
        else psutil.virtual_memory().available
    )


def held_bytes(device: torch.device) -> int:
    """Bytes this process holds on a device now, the loaded model among them."""
    return int(
        torch.cuda.memory_allocated(device)
        if device.type == "cuda"
        else psutil.Process().memory_info().rss
    )


def rows_together(model: Model, requests: Sequence[RolloutRequest]) -> int:
    """How many of `requests`, in their order, run together; by the constant alone."""
    first = requests[:MAX_ROWS]
    limit = BYTES.get(model.device.type, ACCELERATOR_BYTES)
    return max(1, min(MAX_ROWS, limit // (batch_bytes(model, first) // len(first))))


def rows_that_fit(model: Model, requests: Sequence[RolloutRequest]) -> int:
    """How many of `requests` free memory allows at once; InputError where not even one fits."""
    each, free = batch_bytes(model, requests) // len(requests), free_bytes(model.device)
    if each > free * FREE_SHARE:
        longest = max(requests, key=lambda r: len(r.prompt) + r.horizon)
        raise InputError(
            f"rollout of {len(longest.prompt)} + {longest.horizon} tokens: one row of {model.name}"
            f" takes about {each >> 20} MiB and {free >> 20} MiB are free on {model.device};"
            " shorten it, or free memory"
        )
    return int(free * FREE_SHARE) // each


def alone_too_large(model: Model, request: RolloutRequest) -> InputError:
    """What is raised for a row that ran out of memory on its own."""
    size = f"rollout of {len(request.prompt)} + {request.horizon} tokens"
    return InputError(
        f"{size}: {model.name} ran out of memory with this row alone; shorten it, or free memory"
    )


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device or the host had no memory left."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        sign in str(error) for sign in SIGNS
    )


def in_halves(
    model: Model,
    rows: Sequence[Row],
    work: Callable[[Sequence[Row]], list[Made]],
    alone: Callable[[Row], InputError],
) -> list[Made]:
    """What `work` makes of rows, in their order, in halves where they run out of memory together.

    Every halving is told (engines/incidents.py). The error of `alone` where one row runs out.
    """
    try:
        return work(rows)
    except MEMORY_ERRORS as error:
        if not is_out_of_memory(error):
            raise
        if len(rows) == 1:
            raise alone(rows[0]) from None
    # only here, when what ran out of memory has been let go
    half = halved(model, len(rows))
    first, second = rows[:half], rows[half:]
    return in_halves(model, first, work, alone) + in_halves(model, second, work, alone)


def halved(model: Model, rows: int) -> int:
    """The size of the first half of a batch that ran out of memory.

    Told every time, and shown once a model.
    """
    if model.hf not in _SHOWN:
        _SHOWN.add(model.hf)
        line = "%s: %d rows ran out of memory together; such batches go on in halves"
        logger.warning(line, model.name, rows)
    tell(Halved(rows))
    return (rows + 1) // 2
