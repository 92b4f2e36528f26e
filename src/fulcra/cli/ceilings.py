"""`fulcra research ceilings`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import (
    Device,
    Dtype,
    Json,
    LedgerPlace,
    ModelName,
    Quiet,
    RunOut,
    Seed,
    TrustRemoteCode,
    emit,
    new_folder,
    opened,
    research_command,
)
from fulcra.cli.bars import bars

#: Predictors that are measured against unless others are named.
METHODS = ("kl_ladder", "surprise_ladder", "family_constant")


@research_command(
    "ceilings", "ceilings apothecary-sparse --neurons 4 --methods kl_ladder,family_constant"
)
def ceilings_command(
    model: ModelName,
    neurons: Annotated[
        int, typer.Option(metavar="N", help="Random neurons a layer, both poles each.", min=1)
    ] = 4,
    tokens: Annotated[int, typer.Option(metavar="N", help="Tokens of a rollout.", min=8)] = 32,
    methods: Annotated[
        str,
        typer.Option(metavar="NAMES", help="Predictors of a ceiling, with commas."),
    ] = ",".join(METHODS),
    out: RunOut = None,
    ledger: LedgerPlace = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict the ceilings of one model, then measure them."""
    from fulcra.backtest.model_ceilings import CeilingSettings, model_ceilings, predictors
    from fulcra.protocol.witness.seat import require_ledger

    chosen = predictors(methods)
    folder = new_folder(out, f"ceilings-{Path(model).name}")
    require_ledger(ledger, folder)
    with bars(quiet or as_json) as progress:
        loaded = opened(model, dtype, device, trust_remote_code)
        settings = CeilingSettings(neurons, tokens, seed, chosen)
        result = model_ceilings(loaded, folder, settings, progress, ledger)
    written = f"written to {folder / result.file}"
    emit(result, as_json, quiet, lambda: "\n".join(result.lines()), lambda: written)
