"""`fulcra verify`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import Json, Quiet, app
from fulcra.studies.verify import verify


@app.command("verify", epilog="Example: fulcra verify runs/apothecary-sparse-refusal-1")
def verify_command(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recompute the hashes, counts and scores of a run from its commitment and its rollouts."""
    checks = verify(folder)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "passed": all(check.passed for check in checks),
                    "checks": [check._asdict() for check in checks],
                }
            )
        )
    elif not quiet:
        for check in checks:
            typer.echo(f"{'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
    if not all(check.passed for check in checks):
        raise typer.Exit(1)
