"""`fulcra window`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import (
    BehaviorName,
    Device,
    Dtype,
    Json,
    LedgerPlace,
    ModelName,
    Quiet,
    RunOut,
    Seed,
    TrustRemoteCode,
    branch_of,
    command,
    emit,
    kept_in,
    new_folder,
    opened,
    task_of,
)
from fulcra.cli.bars import bars
from fulcra.cli.engines import LOCAL, EngineChoice, chosen
from fulcra.cli.unfold import unfolded


@command("window", "Audit", "window apothecary-sparse L2.N307- --behavior refusal")
@unfolded
def window_command(
    model: ModelName,
    neuron: Annotated[
        str,
        typer.Argument(
            metavar="NEURON",
            help="A neuron and the pole of its dose, + or -: L14.N2207+, 14:2207-, L14/N2207-.",
        ),
    ],
    behavior: BehaviorName = "refusal",
    predict_only: Annotated[
        bool,
        typer.Option(
            "--predict-only", metavar="", help="Both edges predicted, nothing dosed rolled out."
        ),
    ] = False,
    out: RunOut = None,
    ledger: LedgerPlace = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    choice: EngineChoice = LOCAL,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure one neuron's window, both edges predicted first."""
    from fulcra.protocol.results.window import PAGE
    from fulcra.protocol.witness.seat import require_ledger
    from fulcra.report.headline import why_no_verdict
    from fulcra.report.window import window_table
    from fulcra.studies.window import WindowSettings, window

    branch, task = branch_of(neuron), task_of(behavior, model)
    folder = new_folder(out, f"window-{Path(model).name}-{branch}")
    require_ledger(ledger, folder)
    settings = WindowSettings(seed, predict_only, ledger=ledger)
    with kept_in(folder, out), chosen(choice) as start, bars(quiet or as_json) as progress:
        loaded = opened(model, dtype, device, trust_remote_code)
        with start(loaded):
            result = window(loaded, task, branch, settings, folder, progress)
    page = f"page      {folder / PAGE}"
    emit(result, as_json, quiet, lambda: window_table(result), lambda: page)
    if result.audit is not None and not result.audit.summary.protocol_reproduced:
        why = why_no_verdict(result.audit)
        typer.echo(f"fulcra: no verdict is drawn (protocol_not_reproduced): {why}", err=True)
        raise typer.Exit(3)
