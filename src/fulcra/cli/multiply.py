"""`fulcra research multiply`."""

from typing import Annotated

import typer

from fulcra.cli.app import (
    BehaviorName,
    Dtype,
    Json,
    ModelName,
    Out,
    Quiet,
    Seed,
    TrustRemoteCode,
    emit,
    free,
    opened,
    research_command,
    task_of,
)
from fulcra.cli.bars import bars


@research_command("multiply", "multiply apothecary-sparse --behavior refusal --json")
def multiply_command(
    model: ModelName,
    behavior: BehaviorName = "refusal",
    random_sets: Annotated[
        int, typer.Option(metavar="N", help="Random sets with the same layers, per set.", min=1)
    ] = 3,
    out: Out = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Multiply paper B's neurons from 0 to 4, beside random sets."""
    from fulcra.report.screens_table import multiply_sheet
    from fulcra.studies.multipliers import multiplier_sweep

    task, folder = task_of(behavior, model), free(out)
    with bars(quiet or as_json) as progress:
        result = multiplier_sweep(
            opened(model, dtype, trust_remote_code=trust_remote_code),
            task,
            random_sets=random_sets,
            seed=seed,
            progress=progress,
        )
    if folder is not None:
        result.save(folder)
    emit(result, as_json, quiet, lambda: multiply_sheet(result).rich())
