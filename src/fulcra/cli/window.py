"""`fulcra window`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fulcra.behaviors import load_behavior
from fulcra.cli.app import BehaviorName, Dtype, Json, ModelName, Quiet, Seed, app
from fulcra.cli.bars import bars
from fulcra.models import load, world_of
from fulcra.protocol.results.window import PAGE, WindowResult
from fulcra.report import why_no_verdict
from fulcra.report.window import window_table
from fulcra.store import fresh_folder
from fulcra.studies.window import WindowSettings, control_window
from fulcra.types import Neuron


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
        result = control_window(
            load(model, dtype), task, branch, settings, None if predict_only else folder, progress
        )
    result.save(folder)
    _show(result, folder, as_json, quiet)


def _show(result: WindowResult, folder: Path, as_json: bool, quiet: bool) -> None:
    if as_json:
        typer.echo(result.json_text())
    elif not quiet:
        console = Console()
        console.print(window_table(result))
        console.print(f"page      {folder / PAGE}", highlight=False, soft_wrap=True)
    if result.audit is not None and not result.audit.summary.protocol_reproduced:
        why = why_no_verdict(result.audit)
        typer.echo(f"fulcra: no verdict is drawn (protocol_not_reproduced): {why}", err=True)
        raise typer.Exit(3)
