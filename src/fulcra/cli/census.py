"""`fulcra research census`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import BehaviorName, RunOut, kept_in, new_folder, research_command, task_of
from fulcra.cli.engines import LOCAL, EngineChoice, chosen
from fulcra.cli.study import Study
from fulcra.cli.unfold import unfolded


@research_command("census", "census apothecary-sparse --behavior refusal --out runs/census-sparse")
@unfolded
def census_command(
    behavior: BehaviorName = "refusal",
    out: RunOut = None,
    neurons: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="A random slice of that many neurons instead of all.", min=1
        ),
    ] = None,
    choice: EngineChoice = LOCAL,
    *,
    study: Study,
) -> None:
    """Measure every branch of a small model, forecasts first."""
    from fulcra.protocol.results.census import CensusSettings
    from fulcra.studies.census import census

    task = task_of(behavior, study.model)
    folder = new_folder(out, f"census-{Path(study.model).name}-{task.name}")
    settings = CensusSettings(neurons=neurons, seed=study.seed)
    with (
        kept_in(folder, out),
        chosen(choice) as start,
        study.opened() as (model, progress),
        start(model),
    ):
        result = census(model, task, settings, folder, progress)
    study.emit(result, lambda: "\n".join((*result.lines(), f"census {folder}")))
