"""`fulcra screens`, `fulcra census` and `fulcra multiply`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fulcra.behaviors import load_behavior
from fulcra.cli.app import BehaviorName, Dtype, Json, ModelName, Quiet, Seed, app
from fulcra.cli.bars import bars
from fulcra.models import load, world_of
from fulcra.protocol.results.census import CensusSettings
from fulcra.protocol.results.screens import PAGE
from fulcra.report.screens_table import multiply_sheet, screens_sheet
from fulcra.screens.registry import ENTRANTS, own_screen
from fulcra.store import fresh_folder, write_json
from fulcra.studies.census import census
from fulcra.studies.multipliers import multiplier_sweep
from fulcra.studies.tournament import TournamentSettings, tournament


@app.command(
    "screens",
    epilog=(
        "Example: fulcra screens apothecary-sparse --behavior refusal --census"
        " docs/evidence/census-sparse"
    ),
)
def screens_command(
    model: ModelName,
    behavior: BehaviorName = "refusal",
    census_folder: Annotated[
        Path | None,
        typer.Option(
            "--census",
            help=(
                "A finished census of this model and behavior; else a weighted sample is measured."
            ),
        ),
    ] = None,
    screen: Annotated[
        list[str] | None,
        typer.Option(help="A screen of your own, my.py:function; may be given more than once."),
    ] = None,
    sample: Annotated[
        int,
        typer.Option(help="Without a census: random branches beside each screen's top 32.", min=1),
    ] = 200,
    all_stability: Annotated[
        bool,
        typer.Option(
            "--all-stability", help="Rerun the sweeping screens on resampled prompts too."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of screens.json and screens.md. Default: a new one under runs/."),
    ] = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Which screen finds the neurons that open? Every screen judged by a census, or by a weighted
    sample.
    """
    own = [own_screen(text) for text in screen or []]
    task = load_behavior(behavior, world_of(model))
    settings = TournamentSettings(sample, seed, all_stability, (*ENTRANTS, *own))
    warn = _silent if quiet else _warn
    with bars(quiet or as_json) as progress:
        result = tournament(load(model, dtype), task, settings, census_folder, progress, warn)
    folder = out or fresh_folder(Path("runs"), f"screens-{Path(model).name}-{task.name}")
    result.save(folder)
    if as_json:
        typer.echo(result.json_text())
    elif not quiet:
        Console().print(screens_sheet(result).rich())
        typer.echo(f"page   {folder / PAGE}")


def _warn(warning: str) -> None:
    typer.echo(f"fulcra: warning: {warning}", err=True)


def _silent(warning: str) -> None:
    """No warning, as --quiet asks."""


@app.command(
    "census",
    epilog="Example: fulcra census apothecary-sparse --behavior refusal --out runs/census-sparse",
)
def census_command(
    model: ModelName,
    behavior: BehaviorName = "refusal",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder; an interrupted census goes on in it. Default: a new one under runs/."
        ),
    ] = None,
    neurons: Annotated[
        int | None, typer.Option(help="A random slice of that many neurons instead of all.", min=1)
    ] = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Which branches open, of all there are: both ladders of every neuron, then rollouts where they
    may; for small models.
    """
    task = load_behavior(behavior, world_of(model))
    folder = out or fresh_folder(Path("runs"), f"census-{Path(model).name}-{task.name}")
    settings = CensusSettings(neurons=neurons, seed=seed)
    with bars(quiet or as_json) as progress:
        result = census(load(model, dtype), task, settings, folder, progress)
    if as_json:
        typer.echo(result.json_text())
    elif not quiet:
        typer.echo("\n".join((*result.lines(), f"census {folder}")))


@app.command(
    "multiply", epilog="Example: fulcra multiply apothecary-sparse --behavior refusal --json"
)
def multiply_command(
    model: ModelName,
    behavior: BehaviorName = "refusal",
    random_sets: Annotated[
        int, typer.Option(help="Random sets with the same layers, per set.", min=1)
    ] = 3,
    out: Annotated[Path | None, typer.Option(help="A JSON file for the result.")] = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The neurons of paper B's contrast, multiplied together from 0 to 4, against random sets of
    the same layers.
    """
    task = load_behavior(behavior, world_of(model))
    with bars(quiet or as_json) as progress:
        result = multiplier_sweep(
            load(model, dtype), task, random_sets=random_sets, seed=seed, progress=progress
        )
    if out is not None:
        write_json(out, result.plain())
    if as_json:
        typer.echo(result.json_text())
    elif not quiet:
        Console().print(multiply_sheet(result).rich())
