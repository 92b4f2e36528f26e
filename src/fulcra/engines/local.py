"""Rollouts on this machine: requests with different edits, prompts and lengths decoded together."""

import logging
from collections.abc import Iterator, Sequence

from fulcra.engines.beginnings import begins_alike, by_dose
from fulcra.engines.continuous_batching import Unfit, refilled
from fulcra.engines.decoding import decode, grown
from fulcra.engines.memory import alone_too_large, in_halves, rows_that_fit, rows_together
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.types import Rollout, RolloutRequest

logger = logging.getLogger(__name__)


def shards(model: Model, requests: Sequence[RolloutRequest]) -> list[list[int]]:
    """Indices of requests that run together, alike in horizon, and in prompt or in dose.

    By prompt, padding is short and doses share what lies below them; by dose, prompts share what
    they begin with.
    """
    order: list[int] = []
    for horizon in sorted({request.horizon for request in requests}):
        alike = [i for i, request in enumerate(requests) if request.horizon == horizon]
        rows = [requests[i] for i in alike]
        sort = by_dose if begins_alike(rows, rows_together(model, rows)) else _by_prompt
        order += [alike[i] for i in sort(rows)]
    out: list[list[int]] = []
    while order:
        together = rows_together(model, [requests[i] for i in order])
        out.append(order[:together])
        order = order[together:]
    return out


def _by_prompt(requests: Sequence[RolloutRequest]) -> list[int]:
    """The places of requests by length and words of their prompt."""

    def key(i: int) -> tuple[int, tuple[int, ...]]:
        return len(requests[i].prompt), requests[i].prompt

    return sorted(range(len(requests)), key=key)


def run(model: Model, requests: Sequence[RolloutRequest]) -> list[Rollout]:
    """The rollouts of `requests`, in their order."""
    out: list[Rollout | None] = [None] * len(requests)
    for done in run_shards(model, requests):
        for i, rollout in done.items():
            out[i] = rollout
    return [rollout for rollout in out if rollout is not None]


def run_shards(model: Model, requests: Sequence[RolloutRequest]) -> Iterator[dict[int, Rollout]]:
    """Rollouts by request index, a shard at a time.

    Those of a model that is `compiled` come as rows leave their slots.
    """
    for request in requests:
        _require_room(model, request)
    left = list(range(len(requests)))
    if model.compiled:
        for done in _in_slots(model, requests):
            left = [i for i in left if i not in done]
            yield done
    for shard in shards(model, [requests[i] for i in left]):
        places = [left[i] for i in shard]
        yield dict(zip(places, _decoded(model, [requests[i] for i in places]), strict=True))


def _in_slots(model: Model, requests: Sequence[RolloutRequest]) -> Iterator[dict[int, Rollout]]:
    """Rollouts of a compiled model by request index; none, and a warning, where it is unfit."""
    try:
        yield from refilled(model, requests)
    except Unfit as reason:
        logger.warning(
            "%s: its rollouts are not compiled, and run as they are: %s", model.name, reason
        )


def spoken(model: Model, requests: Sequence[RolloutRequest]) -> Iterator[list[Rollout]]:
    """The rollouts of a few requests as they grow, a token at a time; the last are those of `run`.

    Their edits are in force between two tokens: run nothing else on the model until this has ended
    or is closed.
    """
    for request in requests:
        _require_room(model, request)
    yield from grown(model, requests)


def _require_room(model: Model, request: RolloutRequest) -> None:
    size = f"rollout of {len(request.prompt)} + {request.horizon} tokens"
    if not request.prompt or request.horizon < 1:
        raise InputError(f"{size}: give at least one prompt token and a horizon of at least 1")
    if len(request.prompt) + request.horizon > model.context:
        raise InputError(f"{size}: {model.name} has a context of {model.context}; shorten it")


def _decoded(model: Model, requests: Sequence[RolloutRequest]) -> list[Rollout]:
    """The rollouts of one shard, in as many parts as memory asks for; one that runs out is halved.

    Nothing is lost, and the order is that of the requests.
    """
    if len(requests) <= rows_that_fit(model, requests):
        return in_halves(
            model,
            requests,
            lambda part: decode(model, part),
            lambda request: alone_too_large(model, request),
        )
    half = (len(requests) + 1) // 2
    return _decoded(model, requests[:half]) + _decoded(model, requests[half:])
