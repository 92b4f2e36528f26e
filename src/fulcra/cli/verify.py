"""`fulcra verify`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from fulcra.cli.app import Json, LedgerPlace, Quiet, command, emit_json
from fulcra.cli.bars import bars
from fulcra.cli.unfold import unfolded
from fulcra.errors import InputError

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
    int | None,
    typer.Option(
        metavar="N",
        rich_help_panel=PANEL,
        help="With the root of the seal, what the sample is drawn by; choose one of your own."
        " Default: 0.",
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
RunDevice = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE",
        rich_help_panel=PANEL,
        help="A torch device, or auto. Default: the one of the run.",
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        rich_help_panel=PANEL,
        help="Run the code that comes with the model, whatever it does.",
    ),
]
#: The files of a study whose runs have each a seal of their own.
STUDIES = ("study.json", "recipes.json")


class Again(NamedTuple):
    """How many rollouts are rolled again, and where the run's model and behavior are now."""

    rerun: Rerun = None
    seed: Drawn = None
    model: Models = None
    behavior: Behaviors = None
    device: RunDevice = None
    trust_remote_code: Trust = False

    def require(self) -> None:
        """InputError where something is said of rolling again, and nothing is to be."""
        if self.rerun is None and (named := given(self._asdict())):
            raise InputError(f"verify: {named}: about rolling again; give --rerun SHARE as well")


def given(options: Mapping[str, object]) -> str:
    """The options that have a value, as they stand on a command line."""
    names = [name for name, value in options.items() if value is not None and value is not False]
    return " and ".join(f"--{name.replace('_', '-')}" for name in names)


@command("verify", "Audit", "verify runs/apothecary-sparse-refusal-1")
@unfolded
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
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    again: Again,
) -> None:
    """Recompute a run: its seal, hashes, counts, scores; or a ledger."""
    from fulcra.protocol.recheck.witnesses import Witnesses
    from fulcra.studies.verify import SecondLook, second_look

    witnesses = Witnesses(ledger, head, signers)
    witnesses.require_enough(folder, root)
    again.require()
    seals = {"root": root, "signers": signers, "unseal": unseal, "rerun": again.rerun}
    require_no_study(folder, seals)
    checked = registered_checks(folder, ledger)
    look = SecondLook(checked or [], [], None)
    if folder is not None and checked is None:
        look = second_look(folder, root)
    held = witnesses.look(folder if checked is None else None)
    checks = [*look.checks, *held.checks]
    if unseal is not None:
        checks += unsealed(folder, unseal)
    if again.rerun is not None:
        checks += rolled_again(folder, again.rerun, again, quiet or as_json)
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


def require_no_study(folder: Path | None, about_run: Mapping[str, object]) -> None:
    """InputError where what is held against the seal of one run is held against a study."""
    named = given(about_run)
    if folder is not None and named and any((folder / name).is_file() for name in STUDIES):
        raise InputError(
            f"verify: {named}: {folder} is a study, which has no seal of its own; verify the runs"
            " in it one by one"
        )


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
    from fulcra.release.public import unseal_checks

    if folder is None:
        raise InputError("--unseal: proves a public form of a run; name the run's folder")
    return unseal_checks(folder, public)


def rolled_again(folder: Path | None, size: str, again: Again, hidden: bool) -> "list[RunCheck]":
    """The checks of a sample of that size that is rolled again."""
    from fulcra.protocol.rerun import rerun
    from fulcra.protocol.source import Sources

    if folder is None:
        raise InputError("--rerun: rolls the rollouts of a run again; name the run's folder")
    places = (tuple(again.model or ()), tuple(again.behavior or ()))
    sources = Sources(*places, again.device, again.trust_remote_code)
    with bars(hidden) as progress:
        return list(rerun(folder, size, again.seed or 0, sources, progress).checks)


def show(look: "SecondLook") -> None:
    """The checks, what they cover and the root, in the terminal."""
    for check in look.checks:
        typer.echo(f"{'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
    typer.echo("")
    for line in look.coverage:
        typer.echo(f"{line.level:<11} {line.name}: {line.detail}")
    if look.coverage:
        typer.echo("no seal" if look.root is None else f"root        {look.root}")
