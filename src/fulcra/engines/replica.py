"""A model replica in a process of its own: opened as the driver's was, it decodes whole shards."""

import logging
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import NamedTuple, final

import torch

from fulcra.engines.incidents import Incident, heard_by
from fulcra.engines.local import decoded
from fulcra.engines.memory import MEMORY_ERRORS, is_out_of_memory
from fulcra.errors import FulcraError
from fulcra.models import Model, load
from fulcra.types import Rollout, RolloutRequest

#: What decides a token beside weights and requests: these must be the driver's.
PACKAGES = ("fulcra", "torch", "transformers")


class Recipe(NamedTuple):
    """How a replica opens the model: by what the driver's was loaded by."""

    name: str
    revision: str | None
    dtype: str
    device: str
    bits: int | None
    thinking: bool | None
    trust_remote_code: bool
    threads: int

    @classmethod
    def of(cls, model: Model, device: str, threads: int) -> "Recipe":
        """The recipe of a loaded model, for a device of the replica's own."""
        origin, dtype = model.origin, str(model.dtype).removeprefix("torch.")
        return cls(
            origin.name,
            origin.revision,
            dtype,
            device,
            origin.bits,
            model.thinking,
            origin.trust_remote_code,
            threads,
        )


class Opened(NamedTuple):
    """What a replica opened: the hash of its weights and its versions; or why it could not."""

    sha256: str
    versions: tuple[str, ...]
    refusal: str = ""


class Batch(NamedTuple):
    """The rollouts of one shard in the order of its requests, and all that was met on the way.

    `refusal` is what the local engine would have raised; then there are no rollouts.
    """

    rollouts: tuple[Rollout, ...]
    incidents: tuple[Incident, ...]
    warnings: tuple[str, ...]
    refusal: str = ""


def own_versions() -> tuple[str, ...]:
    """The versions of `PACKAGES` here."""
    return tuple(version(package) for package in PACKAGES)


@final
class Replica:
    """One copy of the model, one shard at a time; nothing of it survives its process."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.model: Model | None = None

    def place(self) -> str:
        """The name of the machine it runs on."""
        return platform.node()

    def opened(self) -> Opened:
        """The model, loaded once and checked as `load` checks it."""
        recipe = self.recipe
        torch.set_num_threads(recipe.threads)
        try:
            self.model = load(
                recipe.name,
                recipe.dtype,
                recipe.device,
                bits=recipe.bits,
                thinking=recipe.thinking,
                revision=recipe.revision,
                trust_remote_code=recipe.trust_remote_code,
            )
            return Opened(self.model.sha256, own_versions())
        except FulcraError as error:
            return Opened("", (), str(error))
        except MEMORY_ERRORS as error:
            if not is_out_of_memory(error):
                raise
            return Opened("", (), "its memory cannot hold the model")

    def rolled(self, requests: Sequence[RolloutRequest]) -> Batch:
        """The rollouts of one shard, decoded together as the local engine does."""
        if self.model is None:
            raise RuntimeError("rolled() before opened()")
        incidents: list[Incident] = []
        with heard_by(incidents.append), captured() as warnings:
            try:
                rollouts, refusal = decoded(self.model, requests), ""
            except FulcraError as error:
                rollouts, refusal = [], str(error)
        return Batch(tuple(rollouts), tuple(incidents), tuple(warnings), refusal)


class _Lines(logging.Handler):
    """Warnings as lines."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """One more line."""
        self.lines.append(record.getMessage())


@contextmanager
def captured() -> Iterator[list[str]]:
    """A block whose warnings of this package are collected, for the driver to show."""
    lines: list[str] = []
    handler = _Lines(lines)
    logger = logging.getLogger("fulcra")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
