"""`fulcra audit`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fulcra.behaviors import load_behavior
from fulcra.cli.app import BehaviorName, Compiled, Device, Dtype, Json, ModelName, Quiet, Seed, app
from fulcra.cli.bars import bars
from fulcra.models import load, world_of
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.stages import AuditSettings
from fulcra.report import audit_table, cost_table, why_no_verdict
from fulcra.store import REPORT, fresh_folder
from fulcra.studies.audit import audit
from fulcra.studies.dry_run import estimated

DEFAULT_MODEL = "apothecary-sparse"


class Screen(StrEnum):
    """How the screened neurons are found."""

    window = "window"
    contrastive = "contrastive"


@app.command(
    "audit",
    epilog=(
        "Example: fulcra audit apothecary-dense --behavior refusal --neurons 12 --out runs/dense"
    ),
)
def audit_command(
    model: ModelName = DEFAULT_MODEL,
    behavior: BehaviorName = "refusal",
    neurons: Annotated[int, typer.Option(help="Screened neurons, both poles each.", min=1)] = 12,
    random: Annotated[
        int, typer.Option(help="Random neurons for prevalence, both poles each.", min=0)
    ] = 12,
    controls: Annotated[
        int, typer.Option(help="Random control neurons, and as many directions.", min=20)
    ] = 20,
    out: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Folder of the run; an interrupted run goes on in it. Default: a new one under"
                " runs/."
            )
        ),
    ] = None,
    screen: Annotated[
        Screen,
        typer.Option(
            help="window: both edges forecast for every neuron; contrastive: activation gaps alone."
        ),
    ] = Screen.window,
    keep_text: Annotated[
        bool,
        typer.Option(
            "--keep-text",
            help=(
                "Keep the completions of a sensitive behavior, in a file of the run that only you"
                " can read; reports never show them."
            ),
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what the audit would cost, and write nothing.")
    ] = False,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    compiled: Compiled = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Which single neuron can flip a behavior, from what dose to what dose: predicted, committed,
    then measured.
    """
    task = load_behavior(behavior, world_of(model))
    settings = AuditSettings(
        neurons, random, controls, seed, screen=screen.value, keep_text=keep_text
    )
    if dry_run:
        with bars(quiet or as_json) as progress:
            cost = estimated(
                load(model, dtype, device, compiled=compiled), task, settings, progress
            )
        _show_cost(cost, as_json, quiet)
        return
    folder = out or fresh_folder(Path("runs"), f"{Path(model).name}-{task.name}")
    try:
        with bars(quiet or as_json) as progress:
            found = audit(
                load(model, dtype, device, compiled=compiled), task, settings, folder, progress
            )
    except KeyboardInterrupt:
        if out is None:
            typer.echo(f"fulcra: the run so far is in {folder}: give it as --out", err=True)
        raise
    _show(found, folder, as_json, quiet)


def _show_cost(cost: dict[str, Any], as_json: bool, quiet: bool) -> None:
    if as_json:
        typer.echo(json.dumps(cost))
    elif not quiet:
        Console().print(cost_table(cost), highlight=False)


def _show(found: AuditResult, folder: Path, as_json: bool, quiet: bool) -> None:
    if as_json:
        typer.echo(found.json_text())
    elif not quiet:
        console = Console()
        console.print(audit_table(found))
        committed, seconds = (
            found.summary.commitment_sha256[:16],
            found.timing.cpu_seconds if found.timing else 0,
        )
        console.print(
            f"committed {committed} before the first dosed rollout; {seconds:.0f} CPU seconds",
            highlight=False,
        )
        console.print(f"report    {folder / REPORT}", highlight=False, soft_wrap=True)
    if not found.summary.protocol_reproduced:
        typer.echo(
            f"fulcra: no verdict is drawn (protocol_not_reproduced): {why_no_verdict(found)}",
            err=True,
        )
        raise typer.Exit(3)
