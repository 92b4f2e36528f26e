"""`fulcra exemplars`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fulcra.cli.app import Dtype, Json, ModelName, Quiet, Seed, app
from fulcra.cli.bars import bars
from fulcra.models import load
from fulcra.report.exemplars import exemplars_table
from fulcra.store import EXEMPLARS, fresh_folder
from fulcra.studies.exemplars import ExemplarSettings, exemplars
from fulcra.types import Neuron


@app.command(
    "exemplars",
    epilog=(
        "Example: fulcra exemplars apothecary-sparse L2.N307 L4.N7 --text notes.txt --out runs/gate"
    ),
)
def exemplars_command(
    model: ModelName,
    neurons: Annotated[
        list[str],
        typer.Argument(metavar="NEURON...", help="Neurons like L14.N2207, all read in one pass."),
    ],
    text: Annotated[
        list[Path],
        typer.Option("--text", "-t", help="A UTF-8 text file of any size; repeat for more."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="A new folder for the files. Default: one under runs/.")
    ] = None,
    top: Annotated[int, typer.Option(help="Snippets kept a pole.", min=0)] = 200,
    random: Annotated[int, typer.Option(help="Random snippets for comparison.", min=0)] = 50,
    context: Annotated[
        int, typer.Option(help="Tokens shown on each side of the peak.", min=0)
    ] = 20,
    window: Annotated[
        int, typer.Option(help="Tokens the model reads at once, at most its context.", min=3)
    ] = 512,
    seed: Seed = 0,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Where in a text a neuron acts most and least: snippets with the peak token marked, as a page
    and a table.
    """
    sites = [Neuron.parse(name) for name in neurons]
    folder = out or fresh_folder(Path("runs"), f"{Path(model).name}-exemplars")
    settings = ExemplarSettings(top, random, context, window, seed)
    with bars(quiet or as_json) as progress:
        found = exemplars(load(model, dtype), sites, text, settings, folder, progress)
    if as_json:
        typer.echo(json.dumps(found))
    elif not quiet:
        Console().print(exemplars_table(found))
        Console().print(f"page      {folder / EXEMPLARS}.html", highlight=False, soft_wrap=True)
