"""`fulcra verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import Json, Quiet, command, emit_json

if TYPE_CHECKING:
    from fulcra.studies.verify import SecondLook


@command("verify", "Audit", "verify runs/apothecary-sparse-refusal-1")
def verify_command(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    root: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="The root of the run's seal, as you noted it elsewhere."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recompute a run: its seal, hashes, counts and scores."""
    from fulcra.studies.verify import second_look

    look = second_look(folder, root)
    if as_json:
        checks = [check._asdict() for check in look.checks]
        coverage = [line._asdict() for line in look.coverage]
        emit_json(passed=look.passed, root=look.root, checks=checks, coverage=coverage)
    elif not quiet:
        show(look)
    if not look.passed:
        raise typer.Exit(1)


def show(look: "SecondLook") -> None:
    """The checks, what they cover and the root, in the terminal."""
    for check in look.checks:
        typer.echo(f"{'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
    typer.echo("")
    for line in look.coverage:
        typer.echo(f"{line.level:<11} {line.name}: {line.detail}")
    typer.echo("no seal" if look.root is None else f"root        {look.root}")
