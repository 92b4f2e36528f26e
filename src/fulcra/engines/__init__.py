"""Run rollout requests: one Protocol, the same tokens from every engine."""

from collections.abc import Sequence
from typing import Protocol

from fulcra.models import Model
from fulcra.types import Rollout, RolloutRequest


class Engine(Protocol):
    """Turns requests into rollouts, in the order of the requests."""

    def __call__(self, model: Model, requests: Sequence[RolloutRequest]) -> list[Rollout]: ...
