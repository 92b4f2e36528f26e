"""`fulcra audit --more`: the undetermined branches of a finished run on further prompts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import emit, kept_in
from fulcra.cli.bars import bars
from fulcra.errors import InputError

if TYPE_CHECKING:
    from fulcra.protocol.source import Sources

More = Annotated[
    Path | None,
    typer.Option(
        "--more",
        metavar="RUN",
        help="Take a finished run's undetermined branches to further prompts, beside the run.",
    ),
]
#: What an extension reads of the options of an audit; all others are the run's own.
OPTIONS = {
    "more",
    "model",
    "behavior",
    "device",
    "trust_remote_code",
    "ledger",
    "as_json",
    "quiet",
}


def given(context: typer.Context) -> set[str]:
    """The parameters that were given on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def leave_out(context: typer.Context, option: str, others: set[str]) -> None:
    """InputError where others were given of what an option says will not be done."""
    if idle := sorted(given(context) & others):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
        raise InputError(f"{option}: nothing is audited; leave out {names}")


def more_command(context: typer.Context, folder: Path, ledger: Path | None) -> None:
    """Extend a finished run by what the options of `fulcra audit` say; one line where they cannot.

    Model and behavior are those of the run, wherever they are named to be now.
    """
    from fulcra.protocol.witness.seat import require_ledger

    if others := sorted(given(context) - OPTIONS):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise InputError(f"--more takes sizes, seed and folder of the run: leave out {names}")
    require_ledger(ledger, folder)
    as_json, quiet = bool(context.params["as_json"]), bool(context.params["quiet"])
    show_extension(folder, sources_of(context), ledger, as_json, quiet)


def sources_of(context: typer.Context) -> "Sources":
    """Where the model and the behavior of the run are now, where that was said."""
    from fulcra.protocol.source import Sources

    named, options = given(context), context.params
    return Sources(
        models=(str(options["model"]),) if "model" in named else (),
        behaviors=(str(options["behavior"]),) if "behavior" in named else (),
        device=str(options["device"]) if "device" in named else None,
        trust_remote_code=bool(options["trust_remote_code"]),
    )


def show_extension(
    folder: Path, sources: "Sources", ledger: Path | None, as_json: bool, quiet: bool
) -> None:
    """The extension of a run in the terminal."""
    from fulcra.protocol.extended import extension_folder, read_extension_seal
    from fulcra.release.extension import extend
    from fulcra.report.extension import extension_table

    with kept_in(folder, folder), bars(quiet or as_json) as progress:
        result = extend(folder, sources, progress, ledger)
    place = extension_folder(folder)
    shown = f"written to {place}\nsealed    {read_extension_seal(place).root}"
    emit(result, as_json, quiet, lambda: extension_table(result), lambda: shown)
