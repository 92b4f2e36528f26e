"""Rollouts on this machine: requests with different edits, prompts and lengths decoded together."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, final

from fulcra.engines.beginnings import begins_alike, by_dose
from fulcra.engines.decoding import decode, grown
from fulcra.engines.memory import alone_too_large, in_halves, rows_that_fit, rows_together
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.types import Rollout, RolloutRequest


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


@final
class LocalEngine:
    """The engine of this process: a shard of requests is one batch of the loaded model."""

    name: Final = "local"
    exact: Final = True

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def settings(self) -> Mapping[str, str | int | float | None]:
        """Nothing: batches follow from the requests alone."""
        return {}

    def run_shards(self, requests: Sequence[RolloutRequest]) -> Iterator[dict[int, Rollout]]:
        """Rollouts by request index, a shard at a time, in the order of `shards`."""
        require_room(self.model, requests)
        for shard in shards(self.model, requests):
            rollouts = decoded(self.model, [requests[i] for i in shard])
            yield dict(zip(shard, rollouts, strict=True))

    def close(self) -> None:
        """Nothing is given back: the model is the caller's."""


def spoken(model: Model, requests: Sequence[RolloutRequest]) -> Iterator[list[Rollout]]:
    """The rollouts of a few requests as they grow, a token at a time; the last are those of `run`.

    Their edits are in force between two tokens: run nothing else on the model until this has ended
    or is closed.
    """
    require_room(model, requests)
    yield from grown(model, requests)


def require_room(model: Model, requests: Sequence[RolloutRequest]) -> None:
    """InputError for a request without a prompt or horizon, or longer than the model's context."""
    for request in requests:
        size = f"rollout of {len(request.prompt)} + {request.horizon} tokens"
        if not request.prompt or request.horizon < 1:
            raise InputError(f"{size}: give at least one prompt token and a horizon of at least 1")
        if len(request.prompt) + request.horizon > model.context:
            raise InputError(f"{size}: {model.name} has a context of {model.context}; shorten it")


def decoded(model: Model, requests: Sequence[RolloutRequest]) -> list[Rollout]:
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
    return decoded(model, requests[:half]) + decoded(model, requests[half:])
