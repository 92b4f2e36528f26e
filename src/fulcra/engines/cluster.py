"""Rollouts on a Ray cluster: the local engine's shards, decoded by model replicas on its nodes."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Final, final

from fulcra.engines.fleet import AGAIN, Fleet, Size
from fulcra.engines.incidents import tell
from fulcra.engines.local import require_room, shards
from fulcra.engines.memory import BYTES
from fulcra.engines.replica import Batch, Recipe
from fulcra.errors import EngineError, InputError
from fulcra.models import Model
from fulcra.types import Rollout, RolloutRequest

logger = logging.getLogger(__name__)

#: Seconds in which a cluster must answer at its address.
ANSWER = 3.0
#: What Ray reads before it is imported: it tells nobody of its use.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
#: The same, for a cluster of this machine alone: it is nowhere but on the loopback device.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
#: Bytes that Python and torch take before any weight: 417 MiB measured, and as much to spare.
LIBRARIES = 3 << 28
#: How a gRPC client begins, and the kind of the frame that any gRPC server then sends.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
SETTINGS_FRAME = 4


@final
class RayEngine:
    """The engine of a Ray cluster, for one model; the shards are those of the local engine.

    So what runs together follows from the requests alone, and every rollout is the local engine's
    byte for byte on processors of the same kind and number, however many replicas there are and
    whichever of them die; not where replicas have GPUs and the driver has none. Replicas begin with
    the first sweep and stay until `close`.
    """

    name: Final = "ray"

    def __init__(self, model: Model, ray: ModuleType, size: Size) -> None:
        size = size if size.gpus else size._replace(memory=replica_bytes(model))
        self.model, self.size, self.version = model, size, str(ray.__version__)
        self.exact = not size.gpus or model.device.type == "cuda"
        recipe = Recipe.of(model, replica_device(model, size), max(1, int(size.cpus)))
        self._lost: type[Exception] = ray.exceptions.RayError
        self.fleet = Fleet(ray, recipe, size, model.sha256)

    @property
    def settings(self) -> Mapping[str, str | int | float | None]:
        """Ray's version, and the number and size of replicas; None: as many as fit."""
        size = self.size
        return {
            "ray": self.version,
            "replicas": size.replicas,
            "replica_cpus": size.cpus,
            "replica_gpus": size.gpus,
        }

    def run_shards(self, requests: Sequence[RolloutRequest]) -> Iterator[dict[int, Rollout]]:
        """Rollouts by request index, a shard at a time, as they come back.

        What replicas met is told here, and their warnings are shown.
        """
        require_room(self.model, requests)
        places = shards(self.model, requests)
        work = [[requests[i] for i in shard] for shard in places]
        for shard, batch in self._rolled(work):
            for line in batch.warnings:
                logger.warning("%s", line)
            for incident in batch.incidents:
                tell(incident)
            if batch.refusal:
                raise InputError(batch.refusal)
            yield dict(zip(places[shard], batch.rollouts, strict=True))

    def _rolled(self, work: Sequence[Sequence[RolloutRequest]]) -> Iterator[tuple[int, Batch]]:
        try:
            yield from self.fleet.rolled(work)
        except self._lost as error:
            raise EngineError(
                f"--engine ray: the cluster is gone ({first_line(error)}); {AGAIN}"
            ) from None

    def close(self) -> None:
        """End every replica; the cluster goes on without them."""
        self.fleet.close()


def replica_bytes(model: Model) -> int:
    """Bytes that a replica without GPUs takes of a node: weights, one batch, libraries."""
    weights: int = sum(weight.numel() * weight.element_size() for weight in model.hf.parameters())
    return weights + BYTES["cpu"] + LIBRARIES


def replica_device(model: Model, size: Size) -> str:
    """Where a replica puts its weights: on its GPUs where it has some, else as the driver does."""
    if size.gpus > 1:
        return "auto"
    return "cuda" if size.gpus else model.origin.device


@contextmanager
def connected(address: str | None) -> Iterator[ModuleType]:
    """A block with Ray, connected to a cluster; EngineError within seconds where nobody answers.

    `address`: host:port, "auto" for a cluster of this machine, None for one that begins and ends
    with the block. A program that is connected already stays so.
    """
    os.environ.update(QUIET)
    if address is None or address.rpartition(":")[0] in LOOPBACK_HOSTS:
        os.environ.update(LOOPBACK)
    try:
        import ray
    except ImportError:
        raise EngineError("--engine ray: ray is not installed; pip install 'fulcra[ray]'") from None
    if address not in (None, "auto"):
        _require_answer(str(address))
    if ray.is_initialized():
        _require_same(address, ray.get_runtime_context().gcs_address)
        yield ray
        return
    own = {"include_dashboard": False} if address is None else {}
    try:
        with _own_signals():
            ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # Ray raises a bare one where a busy machine starts it too slowly
        ray.shutdown()
        raise _not_begun(address, first_line(error)) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def first_line(error: Exception) -> str:
    """The first line of what an error says, its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _require_answer(address: str) -> None:
    """EngineError unless somebody listens at host:port, within seconds."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address or int(port) > 65535:
        raise EngineError(
            f"--address {address}: expected host:port, as `ray start --head` shows it"
        )
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER) as server:
            server.sendall(PREFACE)
            frame = server.recv(9)
    except OSError as error:
        raise _nobody(address, error.strerror or str(error)) from None
    if len(frame) < 4 or frame[3] != SETTINGS_FRAME:
        raise _nobody(address, "what listens there is no Ray")


def _require_same(address: str | None, connected_to: str) -> None:
    """EngineError where a program that is connected to one cluster asks for another."""
    if address not in (None, "auto", connected_to):
        raise EngineError(
            f"--address {address}: this program is connected to {connected_to} already; leave that"
            " first (ray.shutdown())"
        )


def _not_begun(address: str | None, reason: str) -> EngineError:
    """The error where Ray connects to nothing: to no cluster, or to none that it should begin."""
    if address is not None:
        return _nobody(address, reason)
    return EngineError(
        f"--engine ray: no cluster began on this machine ({reason}); try again when it does less"
        " else, give the --address of one that runs, or use --engine local"
    )


def _nobody(address: str, reason: str) -> EngineError:
    return EngineError(
        f"--address {address}: no Ray cluster answers ({reason}); start one (`ray start --head`)"
        " or leave --address out for one on this machine"
    )


@contextmanager
def _own_signals() -> Iterator[None]:
    """A block after which SIGTERM is handled as before: Ray puts a handler of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
