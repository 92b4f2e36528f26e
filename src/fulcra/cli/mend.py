"""`fulcra mend`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import (
    AuditedBehaviors,
    Json,
    Quiet,
    TrustRemoteCode,
    command,
    emit,
    kept_in,
    new_folder,
)
from fulcra.cli.audit import MeasureName
from fulcra.cli.bars import bars
from fulcra.cli.harden import adapter_line
from fulcra.cli.more import leave_out


class HowName(StrEnum):
    """What becomes of the neuron's write, or its own weights."""

    zero = "zero"
    mean = "mean"
    spread = "spread"
    retrain = "retrain"


@command("mend", "Use it", "mend runs/sparse --neuron L3.N215 --out runs/mended")
def mend_command(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished audit.")],
    neuron: Annotated[
        str | None,
        typer.Option(
            metavar="NEURON",
            help="A neuron that the audit opened, closed on both poles; by default what opens at"
            " the smallest gain.",
        ),
    ] = None,
    how: Annotated[
        list[HowName] | None,
        typer.Option(
            metavar="HOW",
            help="zero, mean, spread over the layer, retrain; repeatable. Default: all of them.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder for adapter and result, in which an interrupted mending goes on.",
            file_okay=False,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of a retraining.", min=1)] = 60,
    no_audit: Annotated[
        bool, typer.Option("--no-audit", metavar="", help="Mend, and audit nothing afterwards.")
    ] = False,
    measure: Annotated[
        MeasureName,
        typer.Option(help="How many rollouts the audit makes, as of `fulcra audit`."),
    ] = MeasureName.full,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Where the run's model is now, if it moved.")
    ] = None,
    behavior: AuditedBehaviors = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="A torch device; default: the run's.")
    ] = None,
    trust_remote_code: TrustRemoteCode = False,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed of a retraining and of the audit.", min=0)
    ] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Close a neuron that an audit opened.

    By the smallest change of it that loses nothing else, as an adapter. Exit code 1 where none
    does; the result is saved all the same.
    """
    from fulcra.defence.mend.mended import HOWS
    from fulcra.defence.mend.mending import Plan, mend
    from fulcra.protocol.source import Sources
    from fulcra.report.mended import mended_text

    if no_audit:
        leave_out(context, "--no-audit", {"measure"})
    named = [each.value for each in how or ()]
    hows = tuple(each for each in HOWS if each in named or not named)
    plan = Plan(neuron, hows, steps, seed, None if no_audit else measure.value)
    models = () if model is None else (model,)
    sources = Sources(models, tuple(behavior or ()), device, trust_remote_code)
    folder = new_folder(out, f"mend-{run.resolve().name}")
    with kept_in(folder, out), bars(quiet or as_json) as progress:
        result = mend(run, plan, folder, sources, progress)
    taken = result.adapter is not None
    place = adapter_line(folder, result.model) if taken else f"result    {folder}"
    emit(result, as_json, quiet, lambda: mended_text(result), lambda: place)
    if result.refusal:
        typer.echo(f"fulcra: {result.refusal}", err=True)
        raise typer.Exit(1)
