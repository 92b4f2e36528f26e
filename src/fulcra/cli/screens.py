"""`fulcra research screens`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import (
    BehaviorName,
    Device,
    Dtype,
    Json,
    ModelName,
    Quiet,
    RunOut,
    Seed,
    TrustRemoteCode,
    emit,
    kept_in,
    new_folder,
    opened,
    research_command,
    task_of,
    warn_of_code,
)
from fulcra.cli.bars import bars


@research_command(
    "screens",
    "screens apothecary-sparse --behavior refusal --census docs/evidence/census-sparse",
)
def screens_command(
    model: ModelName,
    behavior: BehaviorName = "refusal",
    census_folder: Annotated[
        Path | None,
        typer.Option(
            "--census",
            metavar="DIR",
            help=(
                "A finished census of this model and behavior; else a weighted sample is measured."
            ),
        ),
    ] = None,
    screen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE:FUNCTION",
            help="A screen of your own, my.py:function: runs that file's code; may be repeated.",
        ),
    ] = None,
    sample: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Without a census: random branches beside each screen's top 32.",
            min=1,
        ),
    ] = 200,
    all_stability: Annotated[
        bool,
        typer.Option(
            "--all-stability",
            metavar="",
            help="Rerun the sweeping screens on resampled prompts too.",
        ),
    ] = False,
    swept: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Neurons that each sweep looks at, by contrast; else all.", min=1
        ),
    ] = None,
    out: RunOut = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge every screen by what opens, in a census or a sample."""
    from fulcra.protocol.results.screens import PAGE
    from fulcra.report.screens_table import screens_sheet
    from fulcra.screens.registry import entrants, own_screen
    from fulcra.studies.tournament import TournamentSettings, tournament

    for text in screen or ():
        if Path(file := text.rpartition(":")[0]).is_file():
            warn_of_code(f"--screen {text}", f"the code of {file}")
    own = [own_screen(text) for text in screen or ()]
    task = task_of(behavior, model)
    entered = (*entrants(swept), *own)
    settings = TournamentSettings(sample, seed, all_stability, entered, swept, census_folder)
    folder = new_folder(out, f"screens-{Path(model).name}-{task.name}")
    with kept_in(folder, out), bars(quiet or as_json) as progress:
        loaded = opened(model, dtype, device, trust_remote_code)
        result = tournament(loaded, task, settings, folder, progress, _silent if quiet else _warn)
    page = f"page   {folder / PAGE}"
    emit(result, as_json, quiet, lambda: screens_sheet(result).rich(), lambda: page)


def _warn(warning: str) -> None:
    typer.echo(f"fulcra: warning: {warning}", err=True)


def _silent(warning: str) -> None:
    """Show no warning, as --quiet asks."""
