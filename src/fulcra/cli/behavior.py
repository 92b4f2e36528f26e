"""`fulcra behavior list` and `fulcra behavior schema`."""

import typer

from fulcra.cli.app import Json, app, emit_json

behavior_app = typer.Typer(
    no_args_is_help=True, help="List the bundled behaviors; print the format of your own."
)
app.add_typer(behavior_app, name="behavior", rich_help_panel="Set up")


@behavior_app.command("list", epilog="Example: fulcra behavior list --json")
def behavior_list(as_json: Json = False) -> None:
    """List the bundled behaviors and what flips in each."""
    from fulcra.behaviors import behavior_names, load_behavior

    tasks = {name: load_behavior(name) for name in behavior_names()}
    if as_json:
        facts = {
            name: {"flip": task.flip, "horizon": task.horizon, "sensitive": task.sensitive}
            for name, task in tasks.items()
        }
        emit_json(behaviors=facts)
        return
    for name, task in tasks.items():
        typer.echo(f"{name:12} {task.flip}")


@behavior_app.command("schema", epilog="Example: fulcra behavior schema > behavior.schema.json")
def behavior_schema_command() -> None:
    """Print the JSON schema of a behavior file."""
    import json

    from fulcra.behaviors import behavior_schema

    typer.echo(json.dumps(behavior_schema(), indent=1))
