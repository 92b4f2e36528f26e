"""`fulcra window`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fulcra.behaviors import load_behavior
from fulcra.cli.app import BehaviorName, Dtype, Json, ModelName, Quiet, Seed, app
from fulcra.cli.bars import bars
from fulcra.models import load, world_of
from fulcra.report import why_no_verdict
from fulcra.report.window import render_window, window_table
from fulcra.store import fresh_folder, write_text
from fulcra.studies.window import WindowSettings, control_window
from fulcra.types import Neuron

PAGE = "window.html"


@app.command(
    "window", epilog="Example: fulcra window apothecary-sparse L2.N307- --behavior refusal"
)
def window_command(
    model: ModelName,
    neuron: Annotated[
        str,
        typer.Argument(help="A neuron with the pole of its dose: L14.N2207+, 14:2207-, L14/N2207."),
    ],
    behavior: BehaviorName = "refusal",
    predict_only: Annotated[
        bool, typer.Option("--predict-only", help="Both edges predicted, nothing dosed rolled out.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run; an interrupted one goes on in it. Default: a new one."
        ),
    ] = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """One neuron's control window: where it stands, its edges predicted and committed, then
    measured.
    """
    branch, task = Neuron.parse(neuron), load_behavior(behavior, world_of(model))
    folder = out or fresh_folder(Path("runs"), f"window-{Path(model).name}-{branch}")
    with bars(quiet or as_json) as progress:
        settings = WindowSettings(seed, predict_only)
        found = control_window(
            load(model, dtype), task, branch, settings, None if predict_only else folder, progress
        )
    write_text(folder / PAGE, render_window(found))
    _show(found, folder, as_json, quiet)


def _show(found: dict[str, Any], folder: Path, as_json: bool, quiet: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
    elif not quiet:
        console = Console()
        console.print(window_table(found))
        console.print(f"page      {folder / PAGE}", highlight=False, soft_wrap=True)
    if "audit" in found and not found["audit"]["summary"]["protocol_reproduced"]:
        typer.echo(
            "fulcra: no verdict is drawn (protocol_not_reproduced):"
            f" {why_no_verdict(found['audit'])}",
            err=True,
        )
        raise typer.Exit(3)
