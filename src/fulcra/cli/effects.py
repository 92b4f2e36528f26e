"""`fulcra effects`."""

from pathlib import Path
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
    command,
    emit,
    free,
    opened,
    warn_of_code,
)
from fulcra.cli.bars import bars
from fulcra.cli.judge import (
    AllowHttp,
    JudgeNames,
    Prices,
    Reach,
    SendSensitive,
    Timeout,
    Workers,
    seats,
)
from fulcra.cli.recipe import RecipePath, recipe_sets
from fulcra.errors import InputError


@command(
    "effects",
    "Use it",
    "effects apothecary-sparse -r recipe.json -b framing --judge phrases --tasks mmlu,gsm8k",
)
def effects_command(
    model: ModelName,
    recipe: RecipePath,
    behavior: Annotated[
        list[str] | None,
        typer.Option(
            "--behavior",
            "-b",
            metavar="NAME",
            help="Another behavior to measure; or the recipe's, where it is a file.",
        ),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROMPTS",
            help=(
                "More prompts, refused or answered: SET:SPLIT:N of a public set, or a .jsonl or"
                " .csv file."
            ),
        ),
    ] = None,
    judge: JudgeNames = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Tasks of the lm-evaluation-harness, with commas between (extra: evals).",
        ),
    ] = None,
    task_folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A folder with task files of your own; runs code that they name."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="Items a task at most.", min=2)
    ] = None,
    price: Prices = None,
    send_sensitive_text: SendSensitive = False,
    allow_http: AllowHttp = False,
    timeout: Timeout = 60.0,
    workers: Workers = 8,
    out: Out = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure what a recipe does besides, with and without it, paired."""
    from fulcra.models import world_of
    from fulcra.report.effects import effects_table
    from fulcra.studies.effects.study import EffectsSettings, effects
    from fulcra.studies.recipe import Recipe

    names = _tasks(tasks, task_folder, limit)
    made, folder = Recipe.load(recipe), free(out)
    reach = Reach(timeout, workers, allow_http, device)
    panel = seats(judge or (), reach, price or (), send_sensitive_text)
    sets = recipe_sets(made, behavior or (), prompts or (), world_of(model))
    if task_folder is not None:
        warn_of_code(f"--task-folder {task_folder}", "the code that its task files name")
    settings = EffectsSettings(names, limit, task_folder, seed)
    with bars(quiet or as_json) as progress:
        result = effects(
            opened(model, dtype, device, trust_remote_code),
            sets,
            made,
            settings,
            panel,
            progress,
        )
    if folder is not None:
        result.save(folder)
    emit(result, as_json, quiet, lambda: effects_table(result))


def _tasks(written: str | None, folder: Path | None, limit: int | None) -> tuple[str, ...]:
    """The tasks that are named; InputError where none is, and something is said of them."""
    names = tuple(name.strip() for name in (written or "").split(",") if name.strip())
    about = {"--tasks": written, "--task-folder": folder, "--limit": limit}
    if not names and (idle := [option for option, value in about.items() if value is not None]):
        raise InputError(f"effects: {' and '.join(idle)}: no task is named; add --tasks A,B")
    return names
