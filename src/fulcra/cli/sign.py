"""`fulcra sign` and `fulcra stamp`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import Quiet, command

Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]


@command("sign", "Audit", "sign runs/dense --key ~/.ssh/id_ed25519")
def sign_command(
    folder: Run,
    key: Annotated[
        Path,
        typer.Option(metavar="KEYFILE", help="An ssh key, or the .pub file of one in ssh-agent."),
    ],
    quiet: Quiet = False,
) -> None:
    """Sign the root of a run's seal by an ssh key, once it verifies."""
    from fulcra.errors import RunFolderError
    from fulcra.protocol.witness.signature import sign
    from fulcra.studies.verify import second_look

    look = second_look(folder)
    if look.root is None or not look.passed:
        fault = "has no seal" if look.root is None else "does not verify"
        raise RunFolderError(f"{folder}: {fault}, so it is not signed; see `fulcra verify`")
    path = sign(folder, look.root, key)
    if not quiet:
        typer.echo(f"signature {path}")


@command("stamp", "Audit", "stamp runs/dense")
def stamp_command(folder: Run, quiet: Quiet = False) -> None:
    """Write a query for a time stamp of a run's seal or commitment."""
    from fulcra.protocol.recheck.witnesses import write_stamp_query

    path = write_stamp_query(folder)
    if not quiet:
        typer.echo(f"query     {path}")
        typer.echo("send it to an authority of time, as docs/verify.md says")
