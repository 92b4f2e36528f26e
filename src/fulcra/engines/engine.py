"""The one door to rollouts: whoever wants some asks here, and the model's engine runs them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from fulcra.engines.local import LocalEngine
from fulcra.models import Model
from fulcra.types import Rollout, RolloutRequest

#: A setting of an engine, as results hold it.
Setting = str | int | float | None


class Engine(Protocol):
    """Runs the rollout requests of one model.

    `exact`: its rollouts are those of the local engine byte for byte, so that either may go on with
    a run that the other began. `settings` are what results say of it beside its name.
    """

    @property
    def name(self) -> str:
        """The name that `--engine` knows it by."""

    @property
    def exact(self) -> bool:
        """Whether its rollouts are byte for byte those of the local engine."""

    @property
    def settings(self) -> Mapping[str, Setting]:
        """What it was set to, by name."""

    def run_shards(self, requests: Sequence[RolloutRequest]) -> Iterator[dict[int, Rollout]]:
        """Rollouts by request index, as they finish: every request once, in any order."""

    def close(self) -> None:
        """Give back what the engine holds; closing it again does nothing."""


def engine_of(model: Model) -> Engine:
    """The engine that runs the model's rollouts: its own, else this process."""
    return LocalEngine(model) if model.engine is None else model.engine


def identity(model: Model) -> dict[str, Setting]:
    """What results say of the model's engine: its name, then its settings."""
    engine = engine_of(model)
    return {"name": engine.name, **engine.settings}


def token_identity(model: Model) -> dict[str, Setting]:
    """What the tokens of the model's rollouts depend on beside the requests.

    Empty where its engine is exact: a run and a cache are then the same as the local engine's.
    """
    return {} if engine_of(model).exact else identity(model)


@contextmanager
def rolled_by(model: Model, engine: Engine | None) -> Iterator[None]:
    """A block in which `engine` runs the model's rollouts; closed when it is left."""
    before = model.engine
    model.engine = engine
    try:
        yield
    finally:
        model.engine = before
        if engine is not None:
            engine.close()


def run_shards(model: Model, requests: Sequence[RolloutRequest]) -> Iterator[dict[int, Rollout]]:
    """Rollouts by request index, as they finish, by the model's engine."""
    yield from engine_of(model).run_shards(requests)


def run(model: Model, requests: Sequence[RolloutRequest]) -> list[Rollout]:
    """The rollouts of `requests`, in their order, by the model's engine."""
    rollouts: dict[int, Rollout] = {}
    for shard in run_shards(model, requests):
        rollouts.update(shard)
    return [rollouts[i] for i in range(len(requests))]
