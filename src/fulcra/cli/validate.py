"""`fulcra validate`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fulcra.cli.app import Json, Quiet, Seed, app
from fulcra.cli.bars import bars
from fulcra.store import fresh_folder, write_text

if TYPE_CHECKING:
    from fulcra.protocol.results.validation import ValidationResult


@app.command(
    "validate", epilog="Example: fulcra validate --organisms .cache/organisms --out runs/validation"
)
def validate_command(
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the study; an interrupted one goes on in it. Default: a new one."
        ),
    ] = None,
    organisms: Annotated[
        Path | None, typer.Option(help="Folder of trained organisms beside the bundled ones.")
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            help="The file that says which lineages are held out. Default: the shipped one."
        ),
    ] = None,
    reduced: Annotated[
        bool,
        typer.Option("--reduced", help="A small study on the models there are; concludes nothing."),
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(help="Write the documentation page here, its plots beside it in images/."),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The control-window law put to the test: predict, commit, measure, on lineages that no choice
    was made on.
    """
    from fulcra.backtest.split import SHIPPED, Cabinet, read_split
    from fulcra.backtest.study import FULL, REDUCED, validate
    from fulcra.report.validation import validation_table

    lineages = read_split(split or SHIPPED)
    typer.echo(f"split {lineages.sha256}: {len(lineages.held_out)} lineages held out", err=True)
    folder = out or fresh_folder(Path("runs"), "validation")
    size = replace(REDUCED if reduced else FULL, seed=seed)
    with bars(quiet or as_json) as progress:
        result = validate(lineages, folder, Cabinet(organisms), size, reduced, progress)
    if page is not None:
        _write_page(result, page)
    if as_json:
        typer.echo(result.json_text())
    elif not quiet:
        Console().print(validation_table(result))
        typer.echo(f"written to {folder / result.file}")
    _require_scores(result)


def _write_page(result: "ValidationResult", page: Path) -> None:
    """Write the page under its name and its plots beside it."""
    text, *plots = result.pages().items()
    write_text(page, text[1])
    for name, drawing in plots:
        write_text(page.parent / name, drawing)


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
