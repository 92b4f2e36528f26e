"""`fulcra research contexts`."""

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
    emit,
    free,
    opened,
    research_command,
)
from fulcra.cli.bars import bars


@research_command("contexts", "contexts apothecary-sparse --stride 2")
def contexts_command(
    model: ModelName,
    stride: Annotated[
        int, typer.Option(metavar="N", help="A random neuron of every N-th layer.", min=1)
    ] = 4,
    out: Out = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """See if budgets hold in long contexts and four languages."""
    from fulcra.backtest.contexts import ContextSettings, contexts

    folder = free(out)
    with bars(quiet or as_json) as progress:
        loaded = opened(model, dtype, device, trust_remote_code)
        result = contexts(loaded, ContextSettings(stride=stride, seed=seed), progress)
    if folder is not None:
        result.save(folder)
    emit(result, as_json, quiet, lambda: "\n".join(result.lines()))
