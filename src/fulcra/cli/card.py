"""`fulcra card`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fulcra.behaviors import load_behavior
from fulcra.cli.app import Dtype, Json, ModelName, NeuronName, Quiet, Seed, app
from fulcra.errors import InputError
from fulcra.models import load, world_of
from fulcra.report.card import card_table, render_card
from fulcra.store import write_text
from fulcra.studies.card import card
from fulcra.types import Neuron


@app.command(
    "card",
    epilog=(
        "Example: fulcra card apothecary-sparse L2.N307 -b refusal --run docs/evidence/audit-sparse"
        " --out gate.html"
    ),
)
def card_command(
    model: ModelName,
    neuron: NeuronName,
    behavior: Annotated[
        str | None,
        typer.Option(
            "--behavior",
            "-b",
            help="A bundled behavior or a YAML file: adds triggers, direction, ranks.",
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="The folder of a finished audit: adds what it measured.")
    ] = None,
    exemplars: Annotated[
        Path | None, typer.Option(help="A folder written by `fulcra exemplars`: adds its snippets.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the page there, a file ending in .html.")
    ] = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """All that is known of one neuron: geometry, predicted and measured windows, ranks, the words
    of its write, exemplars.
    """
    site, task = (
        Neuron.parse(neuron),
        load_behavior(behavior, world_of(model)) if behavior else None,
    )
    if out is not None and out.suffix != ".html":
        raise InputError(f"--out {out}: expected a file that ends in .html")
    found = card(load(model, dtype), site, task, run, exemplars, seed)
    if out is not None:
        write_text(out, render_card(found))
    if as_json:
        typer.echo(json.dumps(found))
    elif not quiet:
        Console().print(card_table(found))
