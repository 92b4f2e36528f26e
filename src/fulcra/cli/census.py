"""`fulcra research census`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import (
    BehaviorName,
    Dtype,
    Json,
    ModelName,
    Quiet,
    RunOut,
    Seed,
    TrustRemoteCode,
    emit,
    new_folder,
    opened,
    research_command,
    task_of,
)
from fulcra.cli.bars import bars
from fulcra.cli.engines import (
    Address,
    EngineChoice,
    EngineName,
    EngineOption,
    ReplicaCpus,
    ReplicaGpus,
    Replicas,
    chosen,
)


@research_command("census", "census apothecary-sparse --behavior refusal --out runs/census-sparse")
def census_command(
    model: ModelName,
    behavior: BehaviorName = "refusal",
    out: RunOut = None,
    neurons: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="A random slice of that many neurons instead of all.", min=1
        ),
    ] = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    trust_remote_code: TrustRemoteCode = False,
    engine: EngineOption = EngineName.local,
    address: Address = None,
    replicas: Replicas = None,
    replica_cpus: ReplicaCpus = None,
    replica_gpus: ReplicaGpus = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure every branch of a small model, forecasts first."""
    from fulcra.protocol.results.census import CensusSettings
    from fulcra.studies.census import census

    task = task_of(behavior, model)
    folder = new_folder(out, f"census-{Path(model).name}-{task.name}")
    settings = CensusSettings(neurons=neurons, seed=seed)
    choice = EngineChoice(engine, address, replicas, replica_cpus, replica_gpus)
    with chosen(choice) as start, bars(quiet or as_json) as progress:
        loaded = opened(model, dtype, trust_remote_code=trust_remote_code)
        with start(loaded):
            result = census(loaded, task, settings, folder, progress)
    emit(result, as_json, quiet, lambda: "\n".join((*result.lines(), f"census {folder}")))
