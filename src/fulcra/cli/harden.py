"""`fulcra harden`."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import BehaviorName, command, finite, kept_in, new_folder, task_of
from fulcra.cli.audit import FEWEST_CONTROLS, FEWEST_RANDOM, Confirmation, MeasureName
from fulcra.cli.more import leave_out
from fulcra.cli.study import Study
from fulcra.cli.unfold import unfolded

if TYPE_CHECKING:
    from fulcra.defence.hardened import CheckEntry, HardenResult
    from fulcra.protocol.results.base import ModelEntry

#: Minutes of training where no budget is given; the weight of what undosed replies diverge.
MINUTES, HOLDING = 20.0, 60.0
#: What is said of the audits alone.
AUDITED = {"neurons", "random", "controls", "confirmation", "measure"}


class DefenceName(StrEnum):
    """What half of the rows of a training carries."""

    doses = "doses"
    plain = "plain"
    more = "more"
    noise = "noise"
    dropout = "dropout"
    latent = "latent"
    freeze = "freeze"
    prefer = "prefer"
    extended = "extended"


@command("harden", "Use it", "harden apothecary-sparse -b refusal --steps 420 --out runs/hard")
@unfolded
def harden_command(
    context: typer.Context,
    behavior: BehaviorName = "refusal",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder for adapter and result, in which an interrupted hardening goes on.",
            file_okay=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M",
            help="Minutes of training at most: 20 without --steps.",
            min=0.01,
            callback=finite,
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Steps of training at most.", min=1)
    ] = None,
    rank: Annotated[int, typer.Option(metavar="R", help="Rank of the adapter.", min=1)] = 8,
    every: Annotated[
        int, typer.Option(metavar="N", help="Steps between two checks of the windows.", min=1)
    ] = 60,
    rows: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Rows of a step with a dose; as many without.",
            min=1,
        ),
    ] = 10,
    generic: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Rows of other text in a step, and as many in broken wordings; twice --rows.",
            min=1,
        ),
    ] = None,
    holding: Annotated[
        float,
        typer.Option(
            metavar="W",
            help="Weight of what undosed replies diverge, beside what they do under doses; less"
            " learns faster and holds less.",
            min=0.0,
            callback=finite,
        ),
    ] = HOLDING,
    branches: Annotated[
        int, typer.Option(metavar="N", help="Branches that a check forecasts.", min=4)
    ] = 32,
    defence: Annotated[
        DefenceName,
        typer.Option(
            help="doses inside windows, or from half the ceiling up where none is open; plain:"
            " none; more: none, six times the requests (worlds); noise: random directions; dropout:"
            " lost neurons; latent: directions of steepest ascent; freeze: none, open neurons stay;"
            " prefer: so too, refusals preferred to answers (worlds); extended: none, refusals give"
            " a reason (worlds)."
        ),
    ] = DefenceName.doses,
    beside: Annotated[
        list[DefenceName] | None,
        typer.Option(
            metavar="D", help="Train this for at most as many steps, to compare; repeatable."
        ),
    ] = None,
    no_audit: Annotated[
        bool, typer.Option("--no-audit", metavar="", help="Train, and audit nothing.")
    ] = False,
    neurons: Annotated[
        int, typer.Option(metavar="N", help="Screened neurons of every audit.", min=1)
    ] = 12,
    random: Annotated[
        int, typer.Option(metavar="N", help="Random neurons of every audit.", min=FEWEST_RANDOM)
    ] = 12,
    controls: Annotated[
        int, typer.Option(metavar="N", help="Random controls of every audit.", min=FEWEST_CONTROLS)
    ] = 20,
    sweep: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Neurons that the screens of every audit sweep, by contrast: 4096, or fewer; in a"
            " model of more, half of what a check screens is of those.",
            min=1,
        ),
    ] = None,
    confirmation: Confirmation = None,
    measure: Annotated[
        MeasureName, typer.Option(help="How many rollouts audits make, as of `fulcra audit`.")
    ] = MeasureName.full,
    *,
    study: Study,
) -> None:
    """Train an adapter that closes windows; audit before and after.

    Exit code 1 where undosed requests broke or the budget was too small to close them, 3 where
    nothing is forecast open before the first step; the result is saved where something was trained.
    """
    from fulcra.defence.hardening import Plan, harden
    from fulcra.defence.tuning import Effort
    from fulcra.defence.windows import Sample
    from fulcra.protocol.stages import AuditSettings
    from fulcra.screens.candidates import SWEPT
    from fulcra.store import require_run

    if no_audit:
        leave_out(context, "--no-audit", AUDITED)
    task = task_of(behavior, study.model)
    folder = new_folder(out, f"harden-{Path(study.model).name}-{task.name}")
    require_run(folder)
    limit = MINUTES if minutes is None and steps is None else minutes
    swept = sweep or SWEPT
    audits = AuditSettings(
        neurons,
        random,
        controls,
        measure=measure.value,
        candidates=swept,
        confirmation=confirmation,
    )
    sample, other = Sample.of(branches, swept), generic or 2 * rows
    effort = Effort(
        steps, limit, rank, study.seed, every, rows, other, holding=holding, sample=sample
    )
    plan = Plan(
        effort,
        defence.value,
        tuple(dict.fromkeys(each.value for each in beside or ())),
        None if no_audit else audits,
    )
    with kept_in(folder, out), study.opened() as (loaded, progress):
        result = harden(loaded, task, plan, folder, progress, partial(show_check, study))
    show_hardened(result, folder, study)


def show_check(study: Study, check: "CheckEntry") -> None:
    """One check of a training in a line, beside the progress; none where that is not shown."""
    from fulcra.report.hardened import check_line

    if not (study.quiet or study.as_json):
        typer.echo(check_line(check), err=True)


def show_hardened(result: "HardenResult", folder: Path, study: Study) -> None:
    """The result in the terminal; exit code 1 where undosed requests broke or nothing closed."""
    from fulcra.report.hardened import hardened_text

    place = adapter_line(folder, result.model)
    study.emit(result, lambda: hardened_text(result), lambda: place)
    faults = [fault for fault in (result.too_small, result.broken) if fault]
    for fault in faults:
        typer.echo(f"fulcra: {fault}", err=True)
    if faults:
        raise typer.Exit(1)


def adapter_line(folder: Path, base: "ModelEntry") -> str:
    """Where an adapter is, and who opens it: peft where it can open the base by its name.

    It cannot open an organism that comes with fulcra, nor a GGUF file.
    """
    from fulcra.organisms.planted import bundled_names

    own = base.gguf is not None or base.name in bundled_names()
    return f"adapter   {folder}: give it as MODEL{'' if own else ', or to peft'}"
