"""`fulcra report`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import Quiet, command
from fulcra.errors import InputError


class Format(StrEnum):
    """The formats that a run is written in."""

    sarif = "sarif"
    every_eval_ever = "every-eval-ever"
    cyclonedx = "cyclonedx"
    model_card = "model-card"
    inspect = "inspect"


@command("report", "Audit", "report runs/dense --as sarif --out dense.sarif")
def report_command(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs, oldest first.")
    ],
    form: Annotated[
        Format | None,
        typer.Option("--as", metavar="FORMAT", help=f"Of one run: {', '.join(Format)}."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="PATH", help="The file to write.")] = None,
    quiet: Quiet = False,
) -> None:
    """Tell a finished run to others: in their formats."""
    if form is None:
        raise InputError(f"report: name a format, --as {', '.join(Format)}")
    written_as(form, runs, out)
    if not quiet:
        typer.echo(f"written   {out}")


def written_as(form: Format, runs: list[Path], out: Path | None) -> None:
    """Write the one run that was named in a format; InputError where there are more."""
    from fulcra.release.finished import finished_run
    from fulcra.release.formats.registry import write_as

    if len(runs) != 1:
        raise InputError(f"--as {form}: writes one run, {len(runs)} were named; name one")
    if out is None:
        raise InputError(f"--as {form}: name the file to write, --out FILE")
    write_as(form, finished_run(runs[0]), out)
