"""`fulcra audit`."""

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    command,
    emit,
    finite,
    kept_in,
    new_folder,
    task_of,
)
from fulcra.cli.bars import bars
from fulcra.cli.engines import LOCAL, EngineChoice, chosen
from fulcra.cli.more import More, more_command
from fulcra.cli.unfold import unfolded

if TYPE_CHECKING:
    from fulcra.models import Model
    from fulcra.protocol.budget import Budgeted
    from fulcra.protocol.progress import Progress
    from fulcra.protocol.results.audit import AuditResult
    from fulcra.protocol.stages import AuditSettings
    from fulcra.types import Behavior

DEFAULT_MODEL = "apothecary-sparse"
#: Minutes that an audit may take where no size is given.
MINUTES = 15.0


#: The fewest that any command takes: fewer controls say nothing of chance.
FEWEST_RANDOM, FEWEST_CONTROLS = 0, 10


class ScreenName(StrEnum):
    """How the screened neurons are found."""

    window = "window"
    contrastive = "contrastive"


class MeasureName(StrEnum):
    """How many of the rollouts are made."""

    full = "full"
    curtailed = "curtailed"
    sequential = "sequential"


Confirmation = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Confirmation prompts, more than the behavior's own from its reserve: what a gate"
        " reads is decided by them.",
        min=1,
    ),
]


@command(
    "audit", "Audit", "audit apothecary-dense --behavior refusal --neurons 12 --out runs/dense"
)
@unfolded
def audit_command(
    context: typer.Context,
    model: ModelName = DEFAULT_MODEL,
    behavior: BehaviorName = "refusal",
    neurons: Annotated[
        int | None,
        typer.Option(metavar="N", help="Screened neurons, both poles each: 12, or fewer.", min=1),
    ] = None,
    random: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Random neurons for prevalence, both poles each: 12, or fewer.",
            min=FEWEST_RANDOM,
        ),
    ] = None,
    controls: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Random control neurons, and as many directions: 20, or fewer.",
            min=FEWEST_CONTROLS,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M",
            help="Minutes the audit may take here: it is made as large as fits. Default: 15 where"
            " no size is given.",
            min=0.1,
            callback=finite,
        ),
    ] = None,
    confirmation: Confirmation = None,
    measure: Annotated[
        MeasureName,
        typer.Option(
            help="full: every rollout; curtailed: none that cannot change a verdict; sequential:"
            " stopped by a test with an error of 1 % a rung."
        ),
    ] = MeasureName.full,
    out: RunOut = None,
    ledger: LedgerPlace = None,
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
    trust_remote_code: TrustRemoteCode = False,
    choice: EngineChoice = LOCAL,
    more: More = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Audit a model: which neurons flip a behavior, at what dose."""
    if more is not None:
        more_command(context, more, ledger)
        return
    from fulcra.models import load
    from fulcra.protocol.stages import AuditSettings
    from fulcra.studies.audit import audit

    task, hidden = task_of(behavior, model), quiet or as_json
    settings = AuditSettings(
        neurons=neurons or 12,
        random=12 if random is None else random,
        controls=controls or 20,
        seed=seed,
        screen=screen.value,
        keep_text=keep_text,
        measure=measure.value,
        confirmation=confirmation,
    )
    sized = (neurons, random, controls) != (None, None, None)
    folder = place_of(out, f"{Path(model).name}-{task.name}", ledger)
    with chosen(choice) as start, ExitStack() as rolling:
        with bars(hidden) as progress:
            loaded = load(model, dtype, device, trust_remote_code=trust_remote_code)
            rolling.enter_context(start(loaded))
            limit = MINUTES if minutes is None and not sized else minutes
            plan = plan_of(loaded, task, settings, None if dry_run else folder, limit, progress)
        if dry_run:
            show_cost(loaded, task, plan, as_json, quiet)
            return
        expected = {name: step.seconds for name, step in plan.steps.items()}
        with kept_in(folder, out), bars(hidden, expected, plan_lines(plan)) as progress:
            result = audit(loaded, task, plan.settings, folder, progress, ledger)
    show_audit(result, folder, as_json, quiet)


def place_of(out: Path | None, name: str, ledger: Path | None) -> Path:
    """The folder of a run, which must be free or that of a run that can be entered in a ledger."""
    from fulcra.protocol.witness.seat import require_ledger
    from fulcra.store import require_run

    folder = new_folder(out, name)
    require_run(folder)
    require_ledger(ledger, folder)
    return folder


def entered_as(folder: Path) -> str:
    """The line that names the entry of a run's commitment in its ledger, to be noted elsewhere."""
    from fulcra.protocol.witness.seat import read_receipt

    receipt = read_receipt(folder)
    if receipt is None or receipt.entered is None:
        return "no ledger"
    return f"entered   {receipt.entered.number} {receipt.entered.sha256}"


def plan_of(
    model: "Model",
    behavior: "Behavior",
    settings: "AuditSettings",
    folder: Path | None,
    minutes: float | None,
    progress: "Progress",
) -> "Budgeted":
    """The audit that is run in a folder, None for a dry run.

    One that was begun there goes on as it was planned, whatever the machine can do today.
    """
    from fulcra.protocol.budget import Budgeted
    from fulcra.studies.audit import begun_settings, require_begun
    from fulcra.studies.dry_run import planned

    if folder is None:
        return planned(model, behavior, settings, minutes, progress)
    if minutes is None:
        return Budgeted(settings, {}, ())
    if (begun := begun_settings(folder)) is not None:
        require_begun(folder, begun, settings)
        return Budgeted(begun, {}, ())
    return planned(model, behavior, settings, minutes, progress)


def show_cost(
    model: "Model", behavior: "Behavior", plan: "Budgeted", as_json: bool, quiet: bool
) -> None:
    """The cost of a planned audit."""
    from fulcra.report.cost import cost_table
    from fulcra.studies.dry_run import estimated

    cost = estimated(model, behavior, plan)
    emit(cost, as_json, quiet, lambda: cost_table(cost))


def plan_lines(plan: "Budgeted") -> list[str]:
    """What an audit will take and what it gives up for that; nothing of no plan."""
    from fulcra.report.cost import duration

    if not plan.steps:
        return []
    settings = plan.settings
    sizes = f"{settings.neurons} screened and {settings.random} random neurons"
    given_up = [f"gives up  {line}" for line in plan.concessions]
    return [f"plan      {sizes}, about {duration(plan.seconds)}", *given_up]


def sealed_root(folder: Path) -> str:
    """The line that names the root of a run's seal, to be noted elsewhere."""
    from fulcra.protocol.seal import read_seal

    seal = read_seal(folder)
    return "no seal" if seal is None else f"sealed    {seal.root}"


def show_audit(result: "AuditResult", folder: Path, as_json: bool, quiet: bool) -> None:
    """The audit in the terminal; exit code 3 where no verdict is drawn."""
    from fulcra.report.headline import why_no_verdict
    from fulcra.report.table import audit_table
    from fulcra.store import RECEIPT, REPORT

    seconds = 0.0 if result.timing is None else result.timing.cpu_seconds
    sha256 = result.summary.commitment_sha256[:16]
    committed = f"committed {sha256} before the first dosed rollout; {seconds:.0f} CPU seconds"
    report = f"report    {folder / REPORT}"
    made_of = (result.model.gguf, result.model.adapter)
    shown = [f"weights   {entry.line}" for entry in made_of if entry is not None]
    shown += [committed, *(f"met       {line}" for line in result.met), report]
    shown.append(sealed_root(folder))
    if (folder / RECEIPT).is_file():
        shown.append(entered_as(folder))
    emit(result, as_json, quiet, lambda: audit_table(result), lambda: "\n".join(shown))
    if not result.summary.protocol_reproduced:
        why = why_no_verdict(result)
        typer.echo(f"fulcra: no verdict is drawn (protocol_not_reproduced): {why}", err=True)
        raise typer.Exit(3)
