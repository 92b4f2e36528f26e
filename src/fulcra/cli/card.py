"""`fulcra card`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import (
    Device,
    Dtype,
    Json,
    ModelName,
    NeuronName,
    Out,
    Quiet,
    Seed,
    TrustRemoteCode,
    command,
    emit,
    free,
    opened,
    task_of,
)


@command(
    "card",
    "Neuron",
    "card apothecary-sparse L2.N307 -b refusal --run docs/evidence/audit-sparse --out runs/gate",
)
def card_command(
    model: ModelName,
    neuron: NeuronName,
    behavior: Annotated[
        str | None,
        typer.Option(
            "--behavior",
            "-b",
            metavar="NAME",
            help="A bundled behavior or a YAML file: adds triggers, direction, ranks.",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="The folder of a finished audit: adds what it measured."),
    ] = None,
    exemplars: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A folder written by `fulcra exemplars`: adds its snippets."
        ),
    ] = None,
    out: Out = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show all there is on one neuron: windows, ranks, exemplars."""
    from fulcra.report.card import card_table
    from fulcra.studies.card import card
    from fulcra.types import Neuron

    site, task = Neuron.parse(neuron), None if behavior is None else task_of(behavior, model)
    folder = free(out)
    result = card(opened(model, dtype, device, trust_remote_code), site, task, run, exemplars, seed)
    if folder is not None:
        result.save(folder)
    emit(result, as_json, quiet, lambda: card_table(result))
