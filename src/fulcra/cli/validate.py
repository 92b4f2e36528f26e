"""`fulcra validate`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fulcra.backtest.split import Cabinet, read_split
from fulcra.backtest.study import FULL, REDUCED, VALIDATION, validate
from fulcra.cli.app import Json, Quiet, Seed, app
from fulcra.cli.bars import bars
from fulcra.report.validation import validation_markdown, validation_plots, validation_table
from fulcra.store import fresh_folder, write_text


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
        Path, typer.Option(help="The file that says which lineages are held out.")
    ] = Path("validation/split.yaml"),
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
    lineages = read_split(split)
    typer.echo(f"split {lineages.sha256}: {len(lineages.held_out)} lineages held out", err=True)
    folder = out or fresh_folder(Path("runs"), "validation")
    size = replace(REDUCED if reduced else FULL, seed=seed)
    with bars(quiet or as_json) as progress:
        found = validate(lineages, folder, Cabinet(organisms), size, reduced, progress)
    if page is not None:
        write_text(page, validation_markdown(found))
        for name, drawing in validation_plots(found).items():
            write_text(page.parent / "images" / f"{name}.svg", drawing)
    if as_json:
        typer.echo(json.dumps(found))
    elif not quiet:
        Console().print(validation_table(found))
        typer.echo(f"written to {folder / VALIDATION}")
    _refused(found)


def _refused(found: dict[str, Any]) -> None:
    """Names what the protocol held back; exit code 3 where no verdict is left to score."""
    held = [
        f"{one['model']} {one['behavior']}" for one in found["protocol"] if not one["reproduced"]
    ] + list(found["left_out"])
    scored = any(found["verdicts"].get(part) for part in ("held_out", "development"))
    if held or not scored:
        typer.echo(
            "fulcra: the protocol was not reproduced, and no verdict score holds:"
            f" {', '.join(held) or 'any model'}",
            err=True,
        )
    if not scored:
        raise typer.Exit(3)
