"""`fulcra research recipes`."""

from typing import Annotated

import typer

from fulcra.cli.app import (
    Json,
    LedgerPlace,
    Quiet,
    RunOut,
    emit,
    kept_in,
    new_folder,
    research_command,
)
from fulcra.cli.bars import bars
from fulcra.cli.registered import DesignFile, Organisms, Register, ledger_of, tell_entry


@research_command("recipes", "recipes --organisms .cache/organisms --ledger validation/ledger")
def recipes_command(
    ledger: LedgerPlace = None,
    out: RunOut = None,
    design: DesignFile = None,
    register: Register = False,
    organisms: Organisms = None,
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
    from fulcra.report.recipes import recipes_table

    plan, book = read_design(design or SHIPPED), ledger_of("recipes", ledger)
    if register:
        tell_entry(plan.name, plan.sha256, registered(plan, book), as_json, quiet)
        return
    if way and out is None:
        raise InputError("--way: needs --out DIR, the folder that all ways share")
    place = Place(Cabinet(organisms), book, new_folder(out, "recipes"))
    with kept_in(place.out, out), bars(quiet or as_json) as progress:
        result = run_recipes(plan, place, way or (), progress)
    if result is None:
        typer.echo("the named ways are over, others are not; run the rest", err=True)
        return
    written = f"written to {place.out / result.file}"
    emit(result, as_json, quiet, lambda: recipes_table(result), lambda: written)
