"""`fulcra research contexts`."""

from typing import Annotated

import typer

from fulcra.cli.app import Out, free, research_command
from fulcra.cli.study import Study
from fulcra.cli.unfold import unfolded


@research_command("contexts", "contexts apothecary-sparse --stride 2")
@unfolded
def contexts_command(
    stride: Annotated[
        int, typer.Option(metavar="N", help="A random neuron of every N-th layer.", min=1)
    ] = 4,
    out: Out = None,
    *,
    study: Study,
) -> None:
    """See if budgets hold in long contexts and four languages."""
    from fulcra.backtest.contexts import ContextSettings, contexts

    folder = free(out)
    with study.opened() as (model, progress):
        result = contexts(model, ContextSettings(stride=stride, seed=study.seed), progress)
    if folder is not None:
        result.save(folder)
    study.emit(result, lambda: "\n".join(result.lines()))
