"""`fulcra behavior`: list, schema, try, table."""

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
    Seed,
    TrustRemoteCode,
    app,
    emit,
    emit_json,
    opened,
    task_of,
    writable,
)
from fulcra.cli.bars import bars

behavior_app = typer.Typer(
    no_args_is_help=True,
    help="List the bundled behaviors; try one on a model; print the format of your own.",
)
#: No audit of this behavior could end in a verdict.
UNFIT = 3
#: Characters of a rule that the list shows.
RULE_WIDTH = 110
app.add_typer(behavior_app, name="behavior", rich_help_panel="Set up")


@behavior_app.command("list", epilog="Example: fulcra behavior list --json")
def behavior_list(as_json: Json = False) -> None:
    """List the bundled behaviors and what flips in each; long rules are cut, --json has them."""
    from textwrap import shorten

    from fulcra.behaviors import behavior_names, load_behavior, public_behavior_names

    tasks = {name: load_behavior(name) for name in behavior_names()}
    if as_json:
        facts = {
            name: {"flip": task.flip, "horizon": task.horizon, "sensitive": task.sensitive}
            for name, task in tasks.items()
        }
        emit_json(behaviors=facts, public=public_behavior_names())
        return
    for name, task in tasks.items():
        typer.echo(f"{name:14} {shorten(task.flip, RULE_WIDTH, placeholder=' …')}")
    for name in public_behavior_names():
        typer.echo(f"{name:14} the same as a refusal, on public prompts that are read from the hub")


@behavior_app.command("schema", epilog="Example: fulcra behavior schema > behavior.schema.json")
def behavior_schema_command() -> None:
    """Print the JSON schema of a behavior file."""
    import json

    from fulcra.behaviors import behavior_schema

    typer.echo(json.dumps(behavior_schema(), indent=1))


@behavior_app.command(
    "try", epilog="Example: fulcra behavior try apothecary-sparse -b refusal --json"
)
def behavior_try(
    model: ModelName,
    behavior: BehaviorName,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """See in minutes if a behavior is fit for an audit of a model, and what to change; 3 if not.

    At most 48 short replies, none dosed: baseline, controls, leaks, horizon, words.
    """
    from fulcra.protocol.fitness import fitness
    from fulcra.report.fitness import fitness_sheet, quoted

    task = task_of(behavior, model)
    with bars(quiet or as_json) as progress:
        loaded = opened(model, dtype, device, trust_remote_code)
        result = fitness(loaded, task, seed, progress)
    verdict = "\n".join(result.lines())
    emit(
        result,
        as_json,
        quiet,
        lambda: fitness_sheet(result).rich(),
        lambda: quoted(result),
        lambda: verdict,
    )
    if not result.fit:
        raise typer.Exit(UNFIT)


@behavior_app.command("table", epilog="Example: fulcra behavior table MODEL --out DIR")
def behavior_table(
    model: ModelName,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for table and page.", file_okay=False)
    ],
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Try every bundled behavior for chat models on a model; writes a table and its page."""
    from fulcra.behaviors import chat_behavior_names
    from fulcra.protocol.fitness import fitness_table

    folder = writable(out)
    with bars(quiet or as_json) as progress:
        loaded = opened(model, dtype, device, trust_remote_code)
        table = fitness_table(loaded, chat_behavior_names(), seed, progress)
    path = table.save(folder)
    emit(table, as_json, quiet, lambda: "\n".join((*table.lines(), f"table     {path}")))
