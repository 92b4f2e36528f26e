"""`fulcra serve`."""

from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import (
    Device,
    Dtype,
    Json,
    ModelName,
    Quiet,
    TrustRemoteCode,
    command,
    emit_json,
    opened,
)
from fulcra.cli.recipe import RecipePath
from fulcra.errors import InputError

if TYPE_CHECKING:
    from fulcra.engines.dosed import Proof

PORT = 8000
SENSITIVE = "a recipe of a sensitive behavior, served to everyone on this machine"


@command("serve", "Use it", "serve apothecary-sparse -r recipe.json --port 0")
def serve_command(
    model: ModelName,
    recipe: RecipePath,
    port: Annotated[
        int,
        typer.Option(
            metavar="N", help="Port of this machine; 0 takes a free one.", min=0, max=65535
        ),
    ] = PORT,
    serve_sensitive: Annotated[
        bool,
        typer.Option(
            "--serve-sensitive",
            metavar="",
            help="Serve a recipe of a sensitive behavior to whoever is on this machine.",
        ),
    ] = False,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Serve a dosed model to OpenAI-compatible clients on this machine.

    Any client, harness or judge can meet it, until Ctrl-C. The port opens once the edits are seen
    to act.
    """
    from fulcra.engines.serving import bound, require_server, serve, served_name
    from fulcra.studies.recipe import Recipe

    require_server()
    made = Recipe.load(recipe)
    if made.sensitive and not serve_sensitive:
        raise InputError(
            f"recipe {made.name!r}: made for a sensitive behavior; whoever reaches the port gets"
            " its text: give --serve-sensitive if that is meant"
        )
    with bound(port) as entry:
        loaded = opened(model, dtype, device, trust_remote_code=trust_remote_code)
        made.require(loaded)
        name = served_name(loaded.name, made.name)

        def ready(url: str, proof: "Proof") -> None:
            if made.sensitive:
                typer.echo(f"fulcra: warning: {name}: {SENSITIVE}", err=True)
            if as_json:
                emit_json(url=url, model=name, recipe_sha256=made.sha256, proof=proof._asdict())
            else:
                shown = "" if quiet else f"; the edits move logits by {proof.moved:.2g}"
                typer.echo(f"{url} serves {name}{shown}")

        serve(loaded, made.edits, name, entry, ready)
