"""`fulcra research recipes`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import Json, LedgerPlace, Quiet, RunOut, emit, new_folder, research_command
from fulcra.cli.bars import bars


@research_command("recipes", "recipes --organisms .cache/organisms --ledger validation/ledger")
def recipes_command(
    ledger: LedgerPlace = None,
    out: RunOut = None,
    design: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The design. Default: the shipped one."),
    ] = None,
    register: Annotated[
        bool,
        typer.Option("--register", metavar="", help="Enter the design in the ledger, no more."),
    ] = False,
    organisms: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of trained organisms beside the bundled ones."),
    ] = None,
    way: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Measure these alone; the figures come with the last."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Which way of tuning opens windows, on a registered design."""
    from fulcra.backtest.registered import Place
    from fulcra.backtest.split import Cabinet
    from fulcra.defence.recipes.study import SHIPPED, read_design, registered, run_recipes
    from fulcra.errors import InputError
    from fulcra.protocol.witness.ledger import ledger_at
    from fulcra.report.recipes import recipes_table

    plan = read_design(design or SHIPPED)
    if ledger is None:
        raise InputError("recipes: no ledger; give --ledger DIR, where the design is entered first")
    if register:
        entry = registered(plan, ledger_at(ledger))
        typer.echo(f"design {plan.name} {plan.sha256}: entry {entry.number}, {entry.time}")
        return
    place = Place(Cabinet(organisms), ledger_at(ledger), new_folder(out, "recipes"))
    with bars(quiet or as_json) as progress:
        result = run_recipes(plan, place, way or (), progress)
    if result is None:
        typer.echo("the named ways are over, others are not; run the rest", err=True)
        return
    written = f"written to {place.out / result.file}"
    emit(result, as_json, quiet, lambda: recipes_table(result), lambda: written)
