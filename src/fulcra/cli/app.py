"""The application every command joins: panels, shared options, how a result is shown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from fulcra.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fulcra.models import Model
    from fulcra.protocol.results.base import Result
    from fulcra.types import Behavior, Neuron

Panel = Literal["Audit", "Neuron", "Use it", "Set up", "Research"]
Command = TypeVar("Command", bound=Callable[..., None])

PURPOSE = (
    "Which single neuron can flip a behavior of a language model, how far can it be pushed,"
    " and what does the flip achieve?"
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=PURPOSE,
)
research = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Repeat the papers' comparisons; hours, on small models.",
)
app.add_typer(research, name="research", rich_help_panel="Research")

Json = Annotated[
    bool, typer.Option("--json", metavar="", help="Print the result as JSON and nothing else.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="No progress and no table.")]
Seed = Annotated[
    int,
    typer.Option(
        metavar="N", help="Seed of generic text, sampling and every random choice.", min=0
    ),
]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A bundled organism, the folder of a model or a PEFT adapter, a GGUF file, or a hub id"
        " (owner/name, owner/name/file.gguf).",
    ),
]
BehaviorName = Annotated[
    str,
    typer.Option(
        "--behavior",
        "-b",
        metavar="NAME",
        help="A bundled behavior, NAME@WORLD to set it in another world, or a YAML file.",
    ),
]
AuditedBehaviors = Annotated[
    list[str] | None,
    typer.Option(
        "--behavior",
        "-b",
        metavar="FILE",
        help="The YAML file a run audited, where it is no longer where it was.",
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        metavar="DTYPE", help="float32, bfloat16 or float16; float32 on the CPU by default."
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="A torch device, or auto: all there are, then the CPU, then the disk.",
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run the code that comes with the model, whatever it does; the run remembers it.",
    ),
]
NeuronName = Annotated[
    str,
    typer.Argument(
        metavar="NEURON", help="A neuron like L14.N2207, both poles; a sign may follow."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for the result and its page.", file_okay=False),
]
RunOut = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder; an interrupted run goes on in it. Default: a new one under runs/.",
    ),
]

LedgerPlace = Annotated[
    Path | None,
    typer.Option(
        "--ledger",
        metavar="DIR",
        help="Folder of a ledger of commitments, or a file with its file: URL.",
    ),
]


def command(name: str, panel: Panel, example: str) -> Callable[[Command], Command]:
    """Add a command to the application, in a panel of its help."""
    return app.command(name, rich_help_panel=panel, epilog=f"Example: fulcra {example}")


def research_command(name: str, example: str) -> Callable[[Command], Command]:
    """Add a command to `fulcra research`; its name alone stays an alias that help does not list."""

    def join(function: Command) -> Command:
        research.command(name, epilog=f"Example: fulcra research {example}")(function)
        app.command(name, hidden=True, epilog=f"Example: fulcra {example}")(function)
        return function

    return join


def opened(
    name: str, dtype: str | None = None, device: str = "cpu", trust_remote_code: bool = False
) -> "Model":
    """The model of that name, loaded and checked."""
    from fulcra.models import load

    return load(name, dtype, device, trust_remote_code=trust_remote_code)


def task_of(behavior: str, model: str) -> "Behavior":
    """The behavior of that name, in the world of a bundled model."""
    from fulcra.behaviors import load_behavior
    from fulcra.models import world_of

    return load_behavior(behavior, world_of(model))


def warn_of_code(option: str, code: str) -> None:
    """Tell, once and whatever is quiet, that an option makes code of the user's run."""
    typer.echo(f"fulcra: warning: {option}: {code} is run", err=True)


def branch_of(name: str) -> "Neuron":
    """The neuron and pole of that name; InputError where no sign says which pole is meant."""
    from fulcra.types import Neuron

    neuron = Neuron.parse(name)
    if name.rstrip()[-1] not in "+-":
        raise InputError(
            f"neuron {name.strip()}: no pole, and each pole has a window of its own; write {neuron}"
            f" or {neuron.opposite}"
        )
    return neuron


def new_folder(out: Path | None, name: str) -> Path:
    """The folder that was asked for, or a new one of that name under runs/."""
    from fulcra.store import fresh_folder

    return out or fresh_folder(Path("runs"), name)


def writable(folder: Path) -> Path:
    """A folder of results, in which files can be written; refused before any work."""
    from fulcra.disk import require_writable

    require_writable(folder)
    return folder


@contextmanager
def kept_in(folder: Path, out: Path | None) -> Iterator[None]:
    """A block of work that goes on in a folder, which is named where nobody named it.

    Files can be written in the folder, unless a finished run stands there.
    """
    from fulcra.cli.signals import LEFT
    from fulcra.disk import occupied
    from fulcra.store import AUDIT

    if not (folder / AUDIT).is_file():
        writable(folder)
    try:
        yield
    except (KeyboardInterrupt, MemoryError, RuntimeError):
        if occupied(folder):
            LEFT.append(folder)
            if out is None:
                typer.echo(f"fulcra: the run so far is in {folder}: give it as --out", err=True)
        raise


def free(out: Path | None) -> Path | None:
    """The folder that was asked for, which must be empty or not there; refused before any work."""
    from fulcra.store import empty_folder

    return None if out is None else empty_folder(out)


def emit(
    result: "Result", as_json: bool, quiet: bool, *shown: "Callable[[], RenderableType]"
) -> None:
    """A result on standard output: one line of JSON, or what is shown of it, or nothing."""
    if as_json:
        typer.echo(result.json_text())
    elif not quiet:
        from rich.console import Console

        console = Console(highlight=False, markup=False)
        for draw in shown:
            drawn = draw()
            console.print(drawn, soft_wrap=isinstance(drawn, str))


def emit_json(**content: object) -> None:
    """What is no study's result as JSON, in the envelope that every result has."""
    import json

    from fulcra.protocol.provenance import versions
    from fulcra.store import plain

    head = {"schema_version": 1, "provenance": versions()._asdict()}
    typer.echo(json.dumps(plain({**head, **content}), allow_nan=False))


def show_version(wanted: bool) -> None:
    """Print the versions that a result would name, and leave."""
    if wanted:
        from fulcra.protocol.provenance import versions

        now = versions()
        typer.echo(f"fulcra {now.fulcra} ({now.code}), torch {now.torch}, python {now.python}")
        raise typer.Exit


def finite(value: float | None) -> float | None:
    """The number of an option; BadParameter where it is nan or infinite, which bounds let pass."""
    if value is not None and not isfinite(value):
        raise typer.BadParameter(f"{value} is no finite number")
    return value


@app.callback(help=PURPOSE)
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar="",
            help="Print the version and leave.",
            callback=show_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """The options of `fulcra` itself, beside its commands."""
