"""`fulcra research ceilings`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import LedgerPlace, RunOut, kept_in, new_folder, research_command
from fulcra.cli.study import Study
from fulcra.cli.unfold import unfolded

#: Predictors that are measured against unless others are named.
METHODS = ("kl_ladder", "surprise_ladder", "family_constant")


@research_command(
    "ceilings", "ceilings apothecary-sparse --neurons 4 --methods kl_ladder,family_constant"
)
@unfolded
def ceilings_command(
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
    *,
    study: Study,
) -> None:
    """Predict the ceilings of one model, then measure them."""
    from fulcra.backtest.model_ceilings import CeilingSettings, model_ceilings, predictors
    from fulcra.protocol.witness.seat import require_ledger

    chosen = predictors(methods)
    folder = new_folder(out, f"ceilings-{Path(study.model).name}")
    require_ledger(ledger, folder)
    with kept_in(folder, out), study.opened() as (model, progress):
        settings = CeilingSettings(neurons, tokens, study.seed, chosen)
        result = model_ceilings(model, folder, settings, progress, ledger)
    written = f"written to {folder / result.file}"
    study.emit(result, lambda: "\n".join(result.lines()), lambda: written)
