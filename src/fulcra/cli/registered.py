"""`fulcra research study`, and what it shares with other studies of a registered design."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import (
    Json,
    LedgerPlace,
    Quiet,
    RunOut,
    emit,
    emit_json,
    kept_in,
    new_folder,
    research_command,
)
from fulcra.cli.bars import bars
from fulcra.errors import InputError

if TYPE_CHECKING:
    from fulcra.protocol.witness.entries import Entry
    from fulcra.protocol.witness.ledger import Ledger

DesignFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The design. Default: the shipped one.")
]
Register = Annotated[
    bool, typer.Option("--register", metavar="", help="Enter the design in the ledger, no more.")
]
Organisms = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of trained organisms beside the bundled ones."),
]


def ledger_of(study: str, ledger: Path | None) -> "Ledger":
    """The ledger of a study; InputError without one."""
    from fulcra.protocol.witness.ledger import ledger_at

    if ledger is None:
        raise InputError(
            f"{study}: no ledger; give --ledger DIR, where the design is entered first"
        )
    return ledger_at(ledger)


def tell_entry(name: str, sha256: str, entry: "Entry", as_json: bool, quiet: bool) -> None:
    """Say which entry of the ledger registers a design."""
    if as_json:
        place = {"number": entry.number, "time": entry.time, "sha256": entry.sha256}
        emit_json(design=name, design_sha256=sha256, entry=place)
    elif not quiet:
        typer.echo(f"design {name} {sha256}: entry {entry.number}, {entry.time}")


@research_command("study", "study --organisms .cache/organisms --ledger validation/ledger")
def study_command(
    ledger: LedgerPlace = None,
    out: RunOut = None,
    design: DesignFile = None,
    register: Register = False,
    organisms: Organisms = None,
    lineage: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Measure these alone; the figures come with the last."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Test the law on a design that was registered first."""
    from fulcra.backtest.registered import SECOND, Place, read_design, registered, run_study
    from fulcra.backtest.split import Cabinet
    from fulcra.report.study_page import study_table

    plan, book = read_design(design or SECOND), ledger_of("study", ledger)
    if register:
        tell_entry(plan.name, plan.sha256, registered(plan, book), as_json, quiet)
        return
    if lineage and out is None:
        raise InputError("--lineage: needs --out DIR, the folder that all lineages share")
    place = Place(Cabinet(organisms), book, new_folder(out, "study"))
    with kept_in(place.out, out), bars(quiet or as_json) as progress:
        result = run_study(plan, place, lineage or (), progress)
    if result is None:
        typer.echo("the named lineages are over, others are not; run the rest", err=True)
        return
    written = f"written to {place.out / result.file}"
    emit(result, as_json, quiet, lambda: study_table(result), lambda: written)
