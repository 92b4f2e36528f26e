"""`fulcra compare`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from fulcra.behaviors import load_behavior
from fulcra.cli.app import Dtype, Json, Quiet, Seed, app
from fulcra.cli.bars import bars
from fulcra.errors import InputError
from fulcra.models import load, world_of
from fulcra.report.comparison import comparison_markdown
from fulcra.store import COMPARISON, new_folder, write_json, write_text
from fulcra.studies.comparison import CompareSettings, compare
from fulcra.types import Behavior


@app.command(
    "compare",
    epilog=(
        "Example: fulcra compare apothecary-base apothecary-sparse --behavior refusal -b capitals"
    ),
)
def compare_command(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="A B...", help="Two or more: bundled organisms, model folders or hub ids."
        ),
    ],
    behavior: Annotated[
        list[str] | None,
        typer.Option(
            "--behavior", "-b", help="A behavior, NAME@WORLD, or a YAML file; repeat for more."
        ),
    ] = None,
    top_k: Annotated[
        int, typer.Option(help="A fixed set size beside 0.1 % and 1 % of all neurons.", min=1)
    ] = 32,
    ablate: Annotated[
        bool,
        typer.Option(help="Ablate each model's sets in every model of its shape, by rollouts."),
    ] = True,
    keep_universal: Annotated[
        bool,
        typer.Option(
            "--keep-universal",
            help="Keep neurons that are among the most active on nearly any prompt.",
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="A new folder for comparison.json and comparison.md.")
    ] = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Where the neurons of a behavior lie in each model, what models share, and what one model's
    neurons do in another.
    """
    tasks, folder = (
        [_task(name, models) for name in behavior or ["refusal"]],
        None if out is None else new_folder(out),
    )
    settings = CompareSettings(top_k, seed, ablate, keep_universal)
    with bars(quiet or as_json) as progress:
        found = compare([load(name, dtype) for name in models], tasks, settings, progress)
    if folder is not None:
        write_text(folder / f"{COMPARISON}.md", comparison_markdown(found))
        write_json(folder / f"{COMPARISON}.json", found)
    if as_json:
        typer.echo(json.dumps(found))
    elif not quiet:
        Console().print(Markdown(comparison_markdown(found)))


def _task(name: str, models: Sequence[str]) -> Behavior:
    """The behavior in the world that all models were taught; InputError where they differ and it
    names none.
    """
    tasks = {
        task.name: task
        for task in (load_behavior(name, world) for world in {world_of(model) for model in models})
    }
    if len(tasks) > 1:
        raise InputError(
            f"behavior {name!r}: the models were taught different worlds; name one of"
            f" {', '.join(sorted(tasks))}, or a YAML file"
        )
    return next(iter(tasks.values()))
