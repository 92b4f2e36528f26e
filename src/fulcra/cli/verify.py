"""`fulcra verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import Json, LedgerPlace, Quiet, command, emit_json
from fulcra.cli.bars import bars

if TYPE_CHECKING:
    from fulcra.protocol.recheck.run_files import RunCheck
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
    unseal: Annotated[
        Path | None,
        typer.Option(
            metavar="PUBLIC", help="A sealed form, to be proven of this run by the salt beside it."
        ),
    ] = None,
    rerun: Rerun = None,
    seed: Drawn = 0,
    model: Models = None,
    behavior: Behaviors = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recompute a run: its seal, hashes, counts, scores; or a ledger."""
    from fulcra.protocol.recheck.witnesses import Witnesses
    from fulcra.studies.verify import SecondLook, second_look

    witnesses = Witnesses(ledger, head, signers)
    witnesses.require_enough(folder, root)
    checked = registered_checks(folder, ledger)
    look = SecondLook(checked or [], [], None)
    if folder is not None and checked is None:
        look = second_look(folder, root)
    held = witnesses.look(folder if checked is None else None)
    checks = [*look.checks, *held.checks]
    if unseal is not None:
        checks += unsealed(folder, unseal)
    if rerun is not None:
        places = (tuple(model or ()), tuple(behavior or ()))
        checks += rolled_again(folder, rerun, seed, places, quiet or as_json)
    look = look._replace(checks=checks)
    if as_json:
        content = [check._asdict() for check in look.checks]
        coverage = [line._asdict() for line in look.coverage]
        more = {} if held.head is None else {"ledger": held.head.plain()}
        emit_json(passed=look.passed, root=look.root, checks=content, coverage=coverage, **more)
    elif not quiet:
        show(look)
        if held.head is not None:
            typer.echo(f"ledger      entry {held.head.number}, {held.head.sha256}")
    if not look.passed:
        raise typer.Exit(1)


def registered_checks(folder: Path | None, ledger: Path | None) -> "list[RunCheck] | None":
    """The checks of a registered study; each of its runs has a seal of its own. None of others."""
    from fulcra.studies.verify import verify

    if folder is not None and (folder / "study.json").is_file():
        from fulcra.backtest.registered_recheck import study_checks

        return study_checks(folder, ledger, verify)
    if folder is not None and (folder / "recipes.json").is_file():
        from fulcra.defence.recipes.recheck import recipe_checks

        return recipe_checks(folder, ledger, verify)
    return None


def unsealed(folder: Path | None, public: Path) -> "list[RunCheck]":
    """The checks of a public form that is said to be of this run."""
    from fulcra.errors import InputError
    from fulcra.release.public import unseal_checks

    if folder is None:
        raise InputError("--unseal: proves a public form of a run; name the run's folder")
    return unseal_checks(folder, public)


def rolled_again(
    folder: Path | None,
    size: str,
    seed: int,
    places: tuple[tuple[str, ...], tuple[str, ...]],
    hidden: bool,
) -> "list[RunCheck]":
    """The checks of a sample that is rolled again; `places` are those of models and behaviors."""
    from fulcra.errors import InputError
    from fulcra.protocol.rerun import rerun
    from fulcra.protocol.source import Sources

    if folder is None:
        raise InputError("--rerun: rolls the rollouts of a run again; name the run's folder")
    with bars(hidden) as progress:
        return list(rerun(folder, size, seed, Sources(*places), progress).checks)


def show(look: "SecondLook") -> None:
    """The checks, what they cover and the root, in the terminal."""
    for check in look.checks:
        typer.echo(f"{'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
    typer.echo("")
    for line in look.coverage:
        typer.echo(f"{line.level:<11} {line.name}: {line.detail}")
    if look.coverage:
        typer.echo("no seal" if look.root is None else f"root        {look.root}")
