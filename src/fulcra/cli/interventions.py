"""`fulcra research interventions`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import (
    AuditedBehaviors,
    Json,
    Out,
    Quiet,
    Seed,
    TrustRemoteCode,
    emit,
    free,
    research_command,
)
from fulcra.cli.bars import bars


@research_command(
    "interventions",
    "interventions runs/apothecary-sparse-refusal-1 --out runs/interventions",
)
def interventions_command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of finished audits.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL", help="The model a run audited, where it is no longer where it was."
        ),
    ] = None,
    behavior: AuditedBehaviors = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="A torch device, or auto; default: the run's."),
    ] = None,
    trust_remote_code: TrustRemoteCode = False,
    out: Out = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare kinds of intervention at matched behavior change."""
    from fulcra.protocol.source import Sources
    from fulcra.report.interventions import interventions_markdown
    from fulcra.studies.interventions import interventions

    folder = free(out)
    sources = Sources(tuple(model or ()), tuple(behavior or ()), device, trust_remote_code)
    with bars(quiet or as_json) as progress:
        result = interventions(runs, seed, sources, progress)
    if folder is not None:
        result.save(folder)
    emit(result, as_json, quiet, lambda: interventions_markdown(result))
