"""`fulcra exemplars`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import (
    Device,
    Dtype,
    Json,
    ModelName,
    Out,
    Quiet,
    Seed,
    TrustRemoteCode,
    command,
    emit,
    new_folder,
    opened,
)
from fulcra.cli.bars import bars


@command(
    "exemplars",
    "Neuron",
    "exemplars apothecary-sparse L2.N307 L4.N7 --text notes.txt --out runs/gate",
)
def exemplars_command(
    model: ModelName,
    neurons: Annotated[
        list[str],
        typer.Argument(
            metavar="NEURON", help="Neurons like L14.N2207, both poles, all read in one pass."
        ),
    ],
    text: Annotated[
        list[Path],
        typer.Option(
            "--text", "-t", metavar="FILE", help="A UTF-8 text of any size; repeat for more."
        ),
    ],
    out: Out = None,
    top: Annotated[int, typer.Option(metavar="N", help="Snippets a pole.", min=0)] = 200,
    random: Annotated[
        int, typer.Option(metavar="N", help="Random snippets for comparison.", min=0)
    ] = 50,
    context: Annotated[
        int, typer.Option(metavar="N", help="Tokens shown on each side of the peak.", min=0)
    ] = 20,
    window: Annotated[
        int,
        typer.Option(
            metavar="N", help="Tokens the model reads at once, at most its context.", min=3
        ),
    ] = 512,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find where in a text a neuron acts most and least."""
    from fulcra.protocol.results.exemplars import PAGE
    from fulcra.report.exemplars import exemplars_table
    from fulcra.store import empty_folder
    from fulcra.studies.exemplars import ExemplarSettings, exemplars
    from fulcra.types import Neuron

    sites = [Neuron.parse(name) for name in neurons]
    folder = empty_folder(new_folder(out, f"{Path(model).name}-exemplars"))
    settings = ExemplarSettings(top, random, context, window, seed)
    with bars(quiet or as_json) as progress:
        result = exemplars(
            opened(model, dtype, device, trust_remote_code),
            sites,
            text,
            settings,
            progress,
        )
    result.save(folder)
    page = f"page      {folder / PAGE}"
    emit(result, as_json, quiet, lambda: exemplars_table(result), lambda: page)
