"""`fulcra behavior list` and `fulcra behavior schema`."""

import json

import typer

from fulcra.behaviors import behavior_names, behavior_schema, load_behavior
from fulcra.cli.app import Json, app

behavior_app = typer.Typer(
    no_args_is_help=True,
    help="Behaviors that can be audited: the bundled ones and the format of your own.",
)
app.add_typer(behavior_app, name="behavior")


@behavior_app.command("list", epilog="Example: fulcra behavior list --json")
def behavior_list(as_json: Json = False) -> None:
    """The bundled behaviors and what flips in each."""
    found = {name: load_behavior(name) for name in behavior_names()}
    if as_json:
        typer.echo(
            json.dumps(
                {
                    name: {"flip": task.flip, "horizon": task.horizon, "sensitive": task.sensitive}
                    for name, task in found.items()
                }
            )
        )
        return
    for name, task in found.items():
        typer.echo(f"{name:12} {task.flip}")


@behavior_app.command("schema", epilog="Example: fulcra behavior schema > behavior.schema.json")
def behavior_schema_command() -> None:
    """The JSON schema of a behavior file."""
    typer.echo(json.dumps(behavior_schema(), indent=1))
