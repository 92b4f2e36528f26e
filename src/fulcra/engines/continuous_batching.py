"""Slots that refill: a row that is over leaves, the next request enters."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedModel

from fulcra.engines.cache import windows
from fulcra.engines.decoding import (
    first_logits,
    logit_tolerance,
    name_broken,
    never_acted,
    probes,
    sized,
)
from fulcra.engines.memory import (
    MEMORY_ERRORS,
    alone_too_large,
    halved,
    is_out_of_memory,
    slots_together,
)
from fulcra.engines.sampling import is_warm
from fulcra.engines.slot_doses import KINDS, Kind, kind_of, most_a_layer
from fulcra.engines.slots import Slots
from fulcra.models import Model
from fulcra.types import Direction, Edit, Rollout, RolloutRequest

#: The most rows at once: a power of two.
SLOTS = 256
#: Slots are so many tokens wide, or a multiple of it: another width is another program to compile.
COLUMNS = 128
#: New rows enter when this share of the slots is idle: their prompts are one pass, whatever their
#: number.
IDLE = 0.125
#: Steps between two looks at which rows are over: a look waits for the device.
LOOK = 4
#: Ways to compute attention that take a mask of numbers.
ATTENTIONS = ("sdpa", "eager")


class Unfit(Exception):
    """The reason for which a model's rollouts cannot run in slots."""


def refilled(model: Model, requests: Sequence[RolloutRequest]) -> Iterator[dict[int, Rollout]]:
    """Rollouts by request index as rows leave their slots.

    Of every request whose edits have a place there; nothing is lost when memory runs out. Unfit,
    before the first one, where the model cannot be compiled or its logits then differ.
    """
    left = [i for i, request in enumerate(requests) if all(kind_of(edit) for edit in request.edits)]
    left.sort(key=lambda i: (-requests[i].horizon, len(requests[i].prompt), requests[i].prompt, i))
    requests, most, rollouts = sized(model, requests), SLOTS, dict[int, Rollout]()
    while left:
        full = False
        try:
            for done in _attempt(model, requests, left, most):
                rollouts |= done
                yield done
        except MEMORY_ERRORS as error:
            if not is_out_of_memory(error):
                raise
            full = True
        left = [i for i in left if i not in rollouts]
        # only here, when what ran out of memory has been let go
        most = _fewer(model, [requests[i] for i in left], most) if full else most
    if any(requests[i].edits for i in rollouts) and not any(
        _acts(requests[i], rollout) for i, rollout in rollouts.items()
    ):
        raise never_acted()
    name_broken(model, [requests[i] for i in rollouts], list(rollouts.values()))


def _acts(request: RolloutRequest, rollout: Rollout) -> bool:
    """Whether a row has positions for its own edits, or tokens for those of others."""
    return any(edit.positions != "generated" for edit in request.edits) or (
        request.horizon > 1 and len(rollout.tokens) > 0
    )


def _attempt(
    model: Model, requests: Sequence[RolloutRequest], order: Sequence[int], most: int
) -> Iterator[dict[int, Rollout]]:
    with _standing(model, [requests[i] for i in order], most) as slots:
        yield from _decoded(model, slots, requests, order)


def _fewer(model: Model, requests: Sequence[RolloutRequest], most: int) -> int:
    """Half of the slots that were too many; InputError where it was one."""
    size = slots_together(model, requests, _width(requests), most)
    if size == 1:
        raise alone_too_large(model, max(requests, key=lambda r: len(r.prompt) + r.horizon))
    halved(model, size)
    return size // 2


def _decoded(
    model: Model, slots: Slots, requests: Sequence[RolloutRequest], order: Sequence[int]
) -> Iterator[dict[int, Rollout]]:
    waiting, standing, warm = deque(order), dict[int, int](), is_warm([requests[i] for i in order])
    while waiting or standing:
        free = [slot for slot in range(slots.size) if slot not in standing][: len(waiting)]
        entered = {slot: waiting.popleft() for slot in free}
        standing |= entered
        if entered:
            slots.fill(model, list(entered), [requests[i] for i in entered.values()])
        enough = math.ceil(IDLE * slots.size) if waiting else len(standing)
        while (
            len(
                ended := [
                    slot for slot, over in enumerate(slots.over()) if over and slot in standing
                ]
            )
            < enough
        ):
            for _ in range(LOOK):
                slots.step(warm)
        yield {
            standing.pop(slot): rollout
            for slot, rollout in zip(ended, slots.rollouts(ended), strict=True)
        }


_STANDING: "WeakKeyDictionary[PreTrainedModel, Slots]" = WeakKeyDictionary()
_REFUSED: "WeakKeyDictionary[PreTrainedModel, str]" = WeakKeyDictionary()


@contextmanager
def _standing(model: Model, requests: Sequence[RolloutRequest], most: int) -> Iterator[Slots]:
    """Slots for these requests, those of the last run where they are large enough.

    They stay for the next run unless this one fails.
    """
    if reason := why_not_compiled(model):
        raise Unfit(reason)
    width, edits = _width(requests), most_a_layer([r.edits for r in requests])
    slots = _STANDING.pop(model.hf, None)
    if slots is None or slots.size > most or not slots.serves(model, width, edits):
        if slots is not None:
            width, edits = max(width, slots.width), max(edits, slots.doses.edits)
        # the old ones go before the new ones come
        slots = None
        slots = Slots(model, slots_together(model, requests, width, most), width, edits)
        require_equal(model, slots)
    yield slots
    _STANDING[model.hf] = slots


def _width(requests: Sequence[RolloutRequest]) -> int:
    """How wide slots must be for any of these requests beside any other."""
    tokens = max(len(r.prompt) for r in requests) + max(r.horizon for r in requests)
    return math.ceil(tokens / COLUMNS) * COLUMNS


def why_not_compiled(model: Model) -> str | None:
    """Why the model's rollouts do not run in slots, as far as is known: after a run all is."""
    return _REFUSED.get(model.hf) or unfit(model)


def unfit(model: Model) -> str | None:
    """Why the model cannot be compiled as it stands, None where it can."""
    modules = list(model.hf.modules())
    if model.n_experts:
        return "the shapes of a mixture of experts follow its routing"
    if not windows(model):
        return "a layer keeps something else than keys and values"
    if (attention := model.hf.config._attn_implementation) not in ATTENTIONS:
        return f"its attention is {attention!r}; load it with {' or '.join(map(repr, ATTENTIONS))}"
    if (
        any(hasattr(module, "_hf_hook") for module in modules)
        or len({p.device for p in model.hf.parameters()}) > 1
    ):
        return "its weights are spread over several devices"
    if any(module._forward_hooks or module._forward_pre_hooks for module in modules):
        return "hooks of another kind are in force on it"
    return None


def require_equal(model: Model, slots: Slots) -> None:
    """Unfit unless the compiled step gives the logits of a full pass and every hook in it acts."""
    try:
        reason = _wrong_logits(model, slots) or _deaf_hook(model, slots)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        reason = f"torch.compile: {str(error).strip().splitlines()[0]}"
    if reason:
        _REFUSED[model.hf] = reason
        raise Unfit(reason)


def _wrong_logits(model: Model, slots: Slots) -> str | None:
    requests = probes(model)[: slots.size]
    first, second = first_logits(model, requests)
    slots.fill(model, range(len(requests)), requests)
    slots.token[: len(requests)] = first.argmax(-1)
    distance = float((slots.step(False)[: len(requests)] - second).abs().max() / second.abs().max())
    return (
        None
        if distance <= logit_tolerance(model)
        else f"a compiled step differs from a full pass by {distance:.2g}"
    )


def _deaf_hook(model: Model, slots: Slots) -> str | None:
    """Doses without end, one a slot: a logit that is a number still has not heard of its own."""
    ones = torch.ones(model.d_model)

    def endless(kind: Kind, layer: int) -> Edit:
        site = model.neuron(layer, 0) if kind == "neuron" else Direction(layer, "ones", ones)
        return Edit(site, "add" if kind == "neuron" else kind, math.inf, positions="generated")

    edits = [endless(kind, layer) for layer in range(model.n_layers) for kind in KINDS]
    for start in range(0, len(edits), slots.size):
        batch = edits[start : start + slots.size]
        slots.fill(model, range(len(batch)), [RolloutRequest((5, 6), (edit,), 2) for edit in batch])
        logits = slots.step(False)[: len(batch)]
        finite: Tensor = torch.isfinite(logits.sum(-1, dtype=torch.float32))
        if bool(finite.any()):
            deaf = batch[int(finite.int().argmax())]
            return f"the hook of {deaf} did not act in the compiled step"
    return None
