"""`fulcra verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import Json, LedgerPlace, Quiet, command, emit_json

if TYPE_CHECKING:
    from fulcra.studies.verify import SecondLook


@command("verify", "Audit", "verify runs/apothecary-sparse-refusal-1")
def verify_command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="The folder of a finished run.")
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="The root of the run's seal, as you noted it elsewhere."),
    ] = None,
    ledger: LedgerPlace = None,
    head: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="The hash of a ledger's entry, as you noted it."),
    ] = None,
    signers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Who may sign: an allowed-signers file of ssh."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recompute a run: its seal, hashes, counts, scores; or a ledger."""
    from fulcra.protocol.recheck.witnesses import Witnesses
    from fulcra.studies.verify import SecondLook, second_look

    witnesses = Witnesses(ledger, head, signers)
    witnesses.require_enough(folder, root)
    look = SecondLook([], [], None) if folder is None else second_look(folder, root)
    held = witnesses.look(folder)
    look = look._replace(checks=[*look.checks, *held.checks])
    if as_json:
        checks = [check._asdict() for check in look.checks]
        coverage = [line._asdict() for line in look.coverage]
        more = {} if held.head is None else {"ledger": held.head.plain()}
        emit_json(passed=look.passed, root=look.root, checks=checks, coverage=coverage, **more)
    elif not quiet:
        show(look)
        if held.head is not None:
            typer.echo(f"ledger      entry {held.head.number}, {held.head.sha256}")
    if not look.passed:
        raise typer.Exit(1)


def show(look: "SecondLook") -> None:
    """The checks, what they cover and the root, in the terminal."""
    for check in look.checks:
        typer.echo(f"{'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
    typer.echo("")
    for line in look.coverage:
        typer.echo(f"{line.level:<11} {line.name}: {line.detail}")
    if look.coverage:
        typer.echo("no seal" if look.root is None else f"root        {look.root}")
