"""`fulcra screens`, `fulcra census` and `fulcra multiply`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fulcra.behaviors import load_behavior
from fulcra.cli.app import BehaviorName, Dtype, Json, ModelName, Quiet, Seed, app
from fulcra.cli.bars import bars
from fulcra.models import load, world_of
from fulcra.report.screens_page import screens_page
from fulcra.screens.registry import ENTRANTS, own_screen
from fulcra.store import fresh_folder, write_json, write_text
from fulcra.studies.census import CensusSettings, census
from fulcra.studies.multipliers import multiplier_sweep
from fulcra.studies.tournament import TournamentSettings, tournament

SCREENS = "screens.json"


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
    settings = TournamentSettings(sample, seed, all_stability)
    with bars(quiet or as_json) as progress:
        found = tournament(
            load(model, dtype),
            task,
            settings,
            census_folder,
            (*ENTRANTS, *own),
            progress,
            _silent if quiet else _warn,
        )
    folder = out or fresh_folder(Path("runs"), f"screens-{Path(model).name}-{task.name}")
    write_json(folder / SCREENS, found)
    write_text(folder / "screens.md", screens_page([found]))
    if as_json:
        typer.echo(json.dumps(found))
    elif not quiet:
        Console().print(_table(found))
        typer.echo(f"page   {folder / 'screens.md'}")


def _warn(warning: str) -> None:
    typer.echo(f"fulcra: warning: {warning}", err=True)


def _silent(warning: str) -> None:
    """Nothing."""


def _table(found: dict[str, Any]) -> Table:
    table = Table("screen", "units", "corrected AP", "95 %", "recall@32", "stability", "CPU s")
    for entry in found["screens"]:
        numbers = [entry["recall_at"]["32"], entry["stability"]]
        shown = ["-" if value is None else f"{value:.2f}" for value in numbers]
        span = "-" if entry["low"] is None else f"{entry['low']:.2f}-{entry['high']:.2f}"
        table.add_row(
            entry["screen"],
            entry["units"],
            f"{entry['corrected_average_precision']:.2f}",
            span,
            *shown,
            f"{entry['seconds']:.1f}",
        )
    return table


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
    with bars(quiet or as_json) as progress:
        found = census(
            load(model, dtype), task, CensusSettings(neurons=neurons, seed=seed), folder, progress
        )
    if as_json:
        typer.echo(json.dumps(found))
    elif not quiet:
        missed = found["missed"]
        typer.echo(
            f"{found['open']} of {found['branches']} branches open, {found['specific']}"
            " specifically"
        )
        typer.echo(
            f"missed by the forecast: at most {missed['high']:.1%} of the branches it leaves out"
            f" ({missed['n']} audited)"
        )
        typer.echo(f"census {folder}")


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
        found = multiplier_sweep(
            load(model, dtype), task, random_sets=random_sets, seed=seed, progress=progress
        )
    if out is not None:
        write_json(out, found)
    if as_json:
        typer.echo(json.dumps(found))
    elif not quiet:
        table = Table(
            "set",
            "pole",
            "x",
            "behavior",
            "flips",
            "reach",
            "quality",
            "surprise",
            "nats",
            "flips, random sets",
        )
        for row in found["rows"]:
            shown = [
                "-" if row[key] is None else f"{row[key]:.2f}"
                for key in ("behavior_rate", "flip_rate", "reach", "quality", "surprise", "nats")
            ]
            table.add_row(
                f"{row['set']} ({row['neurons']})",
                row["pole"],
                f"{row['multiplier']:g}",
                *shown,
                f"{row['random_flip_rate']:.2f}",
            )
        Console().print(table)
