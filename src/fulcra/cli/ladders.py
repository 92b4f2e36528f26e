"""`fulcra research ladders`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import Json, Quiet, RunOut, emit, kept_in, new_folder, research_command
from fulcra.cli.bars import bars


@research_command("ladders", "ladders runs/validation --organisms .cache/organisms")
def ladders_command(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY", help="The folder of a finished `research validate`, or its file."
        ),
    ],
    organisms: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of trained models beside the bundled ones."),
    ] = None,
    branches: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="The first N ceilings of each model alone. Default: all.", min=1
        ),
    ] = None,
    out: RunOut = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """See why forecast ceilings err, on development models."""
    from fulcra.backtest.ladder_errors import ladder_errors
    from fulcra.backtest.split import Cabinet
    from fulcra.protocol.results.validation import ValidationResult
    from fulcra.report.ladder_errors import ladder_errors_table

    measured, folder = ValidationResult.load(study), new_folder(out, "ladders")
    with kept_in(folder, out), bars(quiet or as_json) as progress:
        result = ladder_errors(measured, folder, Cabinet(organisms), branches, progress)
    written = f"written to {folder / result.file}"
    emit(result, as_json, quiet, lambda: ladder_errors_table(result), lambda: written)
