"""`fulcra verify`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import Json, Quiet, command, emit_json


@command("verify", "Audit", "verify runs/apothecary-sparse-refusal-1")
def verify_command(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recompute a run's figures from its commitment and its rollouts."""
    from fulcra.studies.verify import verify

    checks = verify(folder)
    passed = all(check.passed for check in checks)
    if as_json:
        emit_json(passed=passed, checks=[check._asdict() for check in checks])
    elif not quiet:
        for check in checks:
            typer.echo(f"{'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
    if not passed:
        raise typer.Exit(1)
