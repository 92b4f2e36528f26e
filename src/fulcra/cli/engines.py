"""The options by which a command that rolls out chooses its engine."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from fulcra.cli.app import finite

if TYPE_CHECKING:
    from fulcra.models import Model

#: CPUs that a replica takes of its node where nothing else is said.
REPLICA_CPUS = 1.0


class EngineName(StrEnum):
    """What runs the rollouts of a command: this process, a cluster, or vLLM."""

    local = "local"
    ray = "ray"
    vllm = "vllm"


EngineOption = Annotated[
    EngineName,
    typer.Option(help="What runs the rollouts: this process, model replicas by Ray, or vLLM."),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="The Ray cluster, or auto; by default one on this machine that ends with the run.",
    ),
]
Replicas = Annotated[
    int | None,
    typer.Option(metavar="N", help="Model replicas; by default as many as fit.", min=1),
]
ReplicaCpus = Annotated[
    float | None,
    typer.Option(metavar="N", help="CPUs that a replica takes: 1.", min=0.01, callback=finite),
]
ReplicaGpus = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        help="GPUs that a replica takes, .5 or 2 as well: 0.",
        min=0.0,
        callback=finite,
    ),
]
TensorParallel = Annotated[
    int | None,
    typer.Option(metavar="N", help="Devices that share every layer in vLLM: 1.", min=1),
]
Graphs = Annotated[
    bool,
    typer.Option(
        "--graphs",
        metavar="",
        help="Keep vLLM's compiled graphs, edits inside them; never run on an accelerator.",
    ),
]
#: Has the rollouts of a loaded model run by an engine, as long as its block lasts.
Start = Callable[["Model"], AbstractContextManager[None]]


#: The engine that alone has each option.
OWNERS = {
    "address": EngineName.ray,
    "replicas": EngineName.ray,
    "replica_cpus": EngineName.ray,
    "replica_gpus": EngineName.ray,
    "tensor_parallel": EngineName.vllm,
    "graphs": EngineName.vllm,
}


class EngineChoice(NamedTuple):
    """The engine that was asked for, and the cluster, replicas or devices it should have."""

    engine: EngineOption = EngineName.local
    address: Address = None
    replicas: Replicas = None
    replica_cpus: ReplicaCpus = None
    replica_gpus: ReplicaGpus = None
    tensor_parallel: TensorParallel = None
    graphs: Graphs = False

    def require(self) -> None:
        """A usage error for an option that only another engine has."""
        for field, engine in OWNERS.items():
            if getattr(self, field) not in (None, False) and engine is not self.engine:
                option = f"--{field.replace('_', '-')}"
                raise typer.BadParameter(f"{option} needs --engine {engine.value}")


#: The engine where no option speaks of one.
LOCAL = EngineChoice()


@contextmanager
def chosen(choice: EngineChoice) -> Iterator[Start]:
    """A block with what starts the engine of a loaded model.

    Its cluster answers before that, and vLLM is of a release that was tested.
    """
    from fulcra.engines.engine import rolled_by

    choice.require()
    if choice.engine is EngineName.local:
        yield lambda model: rolled_by(model, None)
        return
    if choice.engine is EngineName.vllm:
        from fulcra.engines.vllm import VllmEngine, VllmOptions, installed

        installed()
        graphs: Literal["op", "off"] = "op" if choice.graphs else "off"
        options = VllmOptions(choice.tensor_parallel or 1, graphs=graphs)
        yield lambda model: rolled_by(model, VllmEngine(model, options))
        return
    from fulcra.engines.cluster import RayEngine, connected
    from fulcra.engines.fleet import Size

    size = Size(choice.replicas, choice.replica_cpus or REPLICA_CPUS, choice.replica_gpus or 0.0)
    with connected(choice.address) as ray:
        yield lambda model: rolled_by(model, RayEngine(model, ray, size))
