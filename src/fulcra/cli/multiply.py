"""`fulcra research multiply`."""

from typing import Annotated

import typer

from fulcra.cli.app import BehaviorName, Out, free, research_command, task_of
from fulcra.cli.study import Study
from fulcra.cli.unfold import unfolded


@research_command("multiply", "multiply apothecary-sparse --behavior refusal --json")
@unfolded
def multiply_command(
    behavior: BehaviorName = "refusal",
    random_sets: Annotated[
        int, typer.Option(metavar="N", help="Random sets with the same layers, per set.", min=1)
    ] = 3,
    out: Out = None,
    *,
    study: Study,
) -> None:
    """Multiply paper B's neurons from 0 to 4, beside random sets."""
    from fulcra.report.screens_table import multiply_sheet
    from fulcra.studies.multipliers import multiplier_sweep

    task, folder = task_of(behavior, study.model), free(out)
    with study.opened() as (model, progress):
        result = multiplier_sweep(
            model, task, random_sets=random_sets, seed=study.seed, progress=progress
        )
    if folder is not None:
        result.save(folder)
    study.emit(result, lambda: multiply_sheet(result).rich())
