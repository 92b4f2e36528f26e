"""`fulcra research validate`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import Json, Quiet, RunOut, Seed, emit, kept_in, new_folder, research_command
from fulcra.cli.bars import bars
from fulcra.cli.registered import Organisms

if TYPE_CHECKING:
    from fulcra.protocol.results.validation import ValidationResult


@research_command("validate", "validate --organisms .cache/organisms --out runs/validation")
def validate_command(
    out: RunOut = None,
    organisms: Organisms = None,
    split: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The file that says which lineages are held out. Default: the shipped one.",
        ),
    ] = None,
    reduced: Annotated[
        bool,
        typer.Option(
            "--reduced",
            metavar="",
            help="A small study on the models there are; concludes nothing.",
        ),
    ] = False,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Test the control-window law on lineages never chosen on."""
    from fulcra.backtest.split import SHIPPED, Cabinet, read_split
    from fulcra.backtest.study import FULL, REDUCED, validate
    from fulcra.report.validation import validation_table

    lineages = read_split(split or SHIPPED)
    typer.echo(f"split {lineages.sha256}: {len(lineages.held_out)} lineages held out", err=True)
    folder = new_folder(out, "validation")
    size = replace(REDUCED if reduced else FULL, seed=seed)
    with kept_in(folder, out), bars(quiet or as_json) as progress:
        result = validate(lineages, folder, Cabinet(organisms), size, reduced, progress)
    written = f"written to {folder / result.file}"
    emit(result, as_json, quiet, lambda: validation_table(result), lambda: written)
    _require_scores(result)


def _require_scores(result: "ValidationResult") -> None:
    """Name what the protocol held back; exit code 3 where no verdict is left to score."""
    if result.refused or not result.scored:
        typer.echo(
            "fulcra: the protocol was not reproduced, and no verdict score holds:"
            f" {', '.join(result.refused) or 'any model'}",
            err=True,
        )
    if not result.scored:
        raise typer.Exit(3)
