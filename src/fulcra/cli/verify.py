"""`fulcra verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import Json, Quiet, command, emit_json
from fulcra.cli.bars import bars

if TYPE_CHECKING:
    from fulcra.studies.verify import SecondLook

PANEL = "Rolling out again"
Rerun = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        rich_help_panel=PANEL,
        help="Roll a sample of the rollouts again with the run's model: 1% of them, or a number.",
    ),
]
Drawn = Annotated[
    int,
    typer.Option(
        metavar="N",
        rich_help_panel=PANEL,
        help="With the root of the seal, what the sample is drawn by; choose one of your own.",
        min=0,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL", rich_help_panel=PANEL, help="Where the run's model is now, if it moved."
    ),
]
Behaviors = Annotated[
    list[str] | None,
    typer.Option(
        "--behavior",
        "-b",
        metavar="FILE",
        rich_help_panel=PANEL,
        help="Where the audited YAML file is now, if it moved.",
    ),
]


@command("verify", "Audit", "verify runs/apothecary-sparse-refusal-1")
def verify_command(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    root: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="The root of the run's seal, as you noted it elsewhere."),
    ] = None,
    rerun: Rerun = None,
    seed: Drawn = 0,
    model: Models = None,
    behavior: Behaviors = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recompute a run: its seal, hashes, counts and scores; with --rerun some rollouts, too."""
    from fulcra.studies.verify import second_look

    look = second_look(folder, root)
    if rerun is not None:
        from fulcra.protocol.rerun import rerun as rolled_again
        from fulcra.protocol.source import Sources

        sources = Sources(tuple(model or ()), tuple(behavior or ()))
        with bars(quiet or as_json) as progress:
            again = rolled_again(folder, rerun, seed, sources, progress)
        look = look._replace(checks=[*look.checks, *again.checks])
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
