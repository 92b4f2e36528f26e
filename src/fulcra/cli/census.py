"""`fulcra research census`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import BehaviorName, RunOut, new_folder, research_command, task_of
from fulcra.cli.engines import (
    Address,
    EngineChoice,
    EngineName,
    EngineOption,
    ReplicaCpus,
    ReplicaGpus,
    Replicas,
    TensorParallel,
    chosen,
)
from fulcra.cli.study import Study, on_one_model


@research_command("census", "census apothecary-sparse --behavior refusal --out runs/census-sparse")
@on_one_model
def census_command(
    study: Study,
    behavior: BehaviorName = "refusal",
    out: RunOut = None,
    neurons: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="A random slice of that many neurons instead of all.", min=1
        ),
    ] = None,
    engine: EngineOption = EngineName.local,
    address: Address = None,
    replicas: Replicas = None,
    replica_cpus: ReplicaCpus = None,
    replica_gpus: ReplicaGpus = None,
    tensor_parallel: TensorParallel = None,
) -> None:
    """Measure every branch of a small model, forecasts first."""
    from fulcra.protocol.results.census import CensusSettings
    from fulcra.studies.census import census

    task = task_of(behavior, study.model)
    folder = new_folder(out, f"census-{Path(study.model).name}-{task.name}")
    settings = CensusSettings(neurons=neurons, seed=study.seed)
    choice = EngineChoice(engine, address, replicas, replica_cpus, replica_gpus, tensor_parallel)
    with chosen(choice) as start, study.opened() as (model, progress), start(model):
        result = census(model, task, settings, folder, progress)
    study.emit(result, lambda: "\n".join((*result.lines(), f"census {folder}")))
