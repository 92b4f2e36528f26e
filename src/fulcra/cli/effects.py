"""`fulcra effects` and `fulcra interventions`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import (
    Dtype,
    Json,
    ModelName,
    Quiet,
    Seed,
    command,
    emit,
    opened,
    research_command,
)
from fulcra.cli.bars import bars
from fulcra.cli.judge import JudgeNames, Prices, SendSensitive, Timeout, Workers, seats
from fulcra.cli.recipe import RecipePath, recipe_sets


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
            help="Another behavior to measure; or the recipe's, where it is a file.",
        ),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "More prompts, refused or answered: SET:SPLIT:N of a public set, or a .jsonl or"
                " .csv file."
            )
        ),
    ] = None,
    judge: JudgeNames = None,
    tasks: Annotated[
        str,
        typer.Option(
            help="Tasks of the lm-evaluation-harness, with commas between (extra: evals)."
        ),
    ] = "",
    task_folder: Annotated[
        Path | None, typer.Option(help="A folder with task files of your own.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Items a task at most.", min=2)] = None,
    price: Prices = None,
    send_sensitive_text: SendSensitive = False,
    timeout: Timeout = 60.0,
    workers: Workers = 8,
    out: Annotated[Path | None, typer.Option(help="Write the result here, too.")] = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure what a recipe does besides: everything with and without it, paired."""
    from fulcra.models import world_of
    from fulcra.report.effects import effects_table
    from fulcra.store import write_json
    from fulcra.studies.effects.study import EffectsSettings, effects
    from fulcra.studies.recipe import Recipe

    made = Recipe.load(recipe)
    panel = seats(judge or (), timeout, workers, price or (), send_sensitive_text)
    sets = recipe_sets(made, behavior or (), prompts or (), world_of(model))
    names = tuple(name.strip() for name in tasks.split(",") if name.strip())
    settings = EffectsSettings(names, limit, task_folder, seed)
    with bars(quiet or as_json) as progress:
        result = effects(opened(model, dtype), sets, made, settings, panel, progress)
    if out is not None:
        write_json(out, result.plain())
    emit(result, as_json, quiet, lambda: effects_table(result))


@research_command(
    "interventions",
    "interventions runs/apothecary-sparse-refusal-1 --out effects.json --page effects.md",
)
def interventions_command(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished audits.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="The model a run audited, where it is no longer where it was."),
    ] = None,
    behavior: Annotated[
        list[str] | None,
        typer.Option(
            "--behavior",
            "-b",
            help="The YAML file a run audited, where it is no longer where it was.",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="A torch device, or auto; default: the run's.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
    page: Annotated[Path | None, typer.Option(help="Write the tables here, as markdown.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare every kind of intervention at matched behavior change, on the neurons of audits."""
    from fulcra.protocol.source import Sources
    from fulcra.report.interventions import interventions_markdown
    from fulcra.store import write_json, write_text
    from fulcra.studies.interventions import interventions

    sources = Sources(tuple(model or ()), tuple(behavior or ()), device)
    with bars(quiet or as_json) as progress:
        result = interventions(runs, seed, sources, progress)
    if out is not None:
        write_json(out, result.plain())
    if page is not None:
        write_text(page, interventions_markdown(result))
    if as_json:
        typer.echo(result.json_text())
    elif not quiet:
        typer.echo(interventions_markdown(result), nl=False)
