"""`fulcra circuit`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import Json, Quiet, command, emit_json


@command("circuit", "Neuron", "circuit refusal.json --top 20")
def circuit_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A circuit, a JSON file.")],
    top: Annotated[
        int | None, typer.Option(metavar="N", help="Neurons at most; default: all.", min=1)
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Name the neurons of a CNA circuit, largest first."""
    from fulcra.interop.circuits import circuit

    ranking = circuit(file)
    count = len(ranking.branches) if top is None else min(top, len(ranking.branches))
    if as_json:
        pairs = zip(ranking.branches[:count], ranking.scores, strict=False)
        emit_json(neurons=[{"branch": str(branch), "score": score} for branch, score in pairs])
    elif not quiet:
        for branch in ranking.top(count):
            typer.echo(str(branch))
