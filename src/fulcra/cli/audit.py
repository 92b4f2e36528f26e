"""`fulcra audit`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import (
    BehaviorName,
    Compiled,
    Device,
    Dtype,
    Json,
    ModelName,
    Quiet,
    RunOut,
    Seed,
    TrustRemoteCode,
    command,
    emit,
    new_folder,
    task_of,
)
from fulcra.cli.bars import bars

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult

DEFAULT_MODEL = "apothecary-sparse"


class ScreenName(StrEnum):
    """How the screened neurons are found."""

    window = "window"
    contrastive = "contrastive"


@command(
    "audit", "Audit", "audit apothecary-dense --behavior refusal --neurons 12 --out runs/dense"
)
def audit_command(
    model: ModelName = DEFAULT_MODEL,
    behavior: BehaviorName = "refusal",
    neurons: Annotated[
        int, typer.Option(metavar="N", help="Screened neurons, both poles each.", min=1)
    ] = 12,
    random: Annotated[
        int,
        typer.Option(metavar="N", help="Random neurons for prevalence, both poles each.", min=0),
    ] = 12,
    controls: Annotated[
        int,
        typer.Option(metavar="N", help="Random control neurons, and as many directions.", min=20),
    ] = 20,
    out: RunOut = None,
    screen: Annotated[
        ScreenName,
        typer.Option(
            help="window: both edges forecast for every neuron; contrastive: activation gaps alone."
        ),
    ] = ScreenName.window,
    keep_text: Annotated[
        bool,
        typer.Option(
            "--keep-text",
            metavar="",
            help=(
                "Keep the completions of a sensitive behavior, in a file of the run that only you"
                " can read; reports never show them."
            ),
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", metavar="", help="Print what the audit would cost, and write nothing."
        ),
    ] = False,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    compiled: Compiled = False,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Audit a model: which neurons flip a behavior, at what dose."""
    from fulcra.models import load
    from fulcra.models.loading import LoadOptions
    from fulcra.protocol.stages import AuditSettings
    from fulcra.studies.audit import audit
    from fulcra.studies.dry_run import estimated

    task = task_of(behavior, model)
    settings = AuditSettings(
        neurons, random, controls, seed, screen=screen.value, keep_text=keep_text
    )
    options = LoadOptions(compiled=compiled, trust_remote_code=trust_remote_code)
    if dry_run:
        with bars(quiet or as_json) as progress:
            loaded = load(model, dtype, device, **options)
            cost = estimated(loaded, task, settings, progress)
        from fulcra.report.cost import cost_table

        emit(cost, as_json, quiet, lambda: cost_table(cost))
        return
    folder = new_folder(out, f"{Path(model).name}-{task.name}")
    try:
        with bars(quiet or as_json) as progress:
            loaded = load(model, dtype, device, **options)
            result = audit(loaded, task, settings, folder, progress)
    except KeyboardInterrupt:
        if out is None:
            typer.echo(f"fulcra: the run so far is in {folder}: give it as --out", err=True)
        raise
    show_audit(result, folder, as_json, quiet)


def sealed_root(folder: Path) -> str:
    """The line that names the root of a run's seal, to be noted elsewhere."""
    from fulcra.protocol.seal import read_seal

    seal = read_seal(folder)
    return "no seal" if seal is None else f"sealed    {seal.root}"


def show_audit(result: "AuditResult", folder: Path, as_json: bool, quiet: bool) -> None:
    """The audit in the terminal; exit code 3 where no verdict is drawn."""
    from fulcra.report.headline import why_no_verdict
    from fulcra.report.table import audit_table
    from fulcra.store import REPORT

    seconds = 0.0 if result.timing is None else result.timing.cpu_seconds
    sha256 = result.summary.commitment_sha256[:16]
    committed = f"committed {sha256} before the first dosed rollout; {seconds:.0f} CPU seconds"
    report = f"report    {folder / REPORT}"
    lines = [f"met       {line}" for line in result.met]
    lines = [committed, *lines, report, sealed_root(folder)]
    emit(result, as_json, quiet, lambda: audit_table(result), lambda: "\n".join(lines))
    if not result.summary.protocol_reproduced:
        why = why_no_verdict(result)
        typer.echo(f"fulcra: no verdict is drawn (protocol_not_reproduced): {why}", err=True)
        raise typer.Exit(3)
