"""`fulcra replicate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import Json, Quiet, command, emit_json

if TYPE_CHECKING:
    from fulcra.release.replication.papers import Paper
    from fulcra.release.replication.reading import Reading


@command("replicate", "Research", "replicate B --model Qwen/Qwen3-0.6B --run runs/Qwen3-0.6B-sets")
def replicate_command(
    letter: Annotated[str, typer.Argument(metavar="PAPER", help="A, B or C.")],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Print the commands for this model, not for Qwen3-0.6B and the paper's own.",
        ),
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="What a command wrote: adds a column of its figures; repeat for more.",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show a paper's figures beside ours, and the exact commands."""
    from rich.console import Console

    from fulcra.release.replication.beside import beside
    from fulcra.release.replication.papers import commands, paper, shown_models
    from fulcra.report.replication import absent, as_plain, command_lines, replication_sheet

    source = paper(letter)
    rows = beside(source, _readings(source, run) if run else None)
    lines = [line for each in shown_models(model) for line in commands(source, each)]
    if as_json:
        emit_json(
            paper=source.letter,
            title=source.title,
            rows=[as_plain(row) for row in rows],
            commands=[line._asdict() for line in lines],
        )
    elif not quiet:
        console = Console(highlight=False, markup=False)
        console.print(f"{source.title}\n{source.source}\n", style="dim")
        console.print(replication_sheet(rows, bool(run)).rich())
        typer.echo("\n".join(("", *absent(rows), "", *command_lines(lines))))


def _readings(source: "Paper", folders: list[Path]) -> "dict[str, tuple[Reading, ...]]":
    """What the folders hold, row by row; the results' own modules are loaded now."""
    from fulcra.release.replication.readers import runs_readings

    return runs_readings(source, folders)
