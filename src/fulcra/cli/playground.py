"""`fulcra playground`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import (
    Device,
    Dtype,
    Json,
    Quiet,
    Seed,
    TrustRemoteCode,
    command,
    emit_json,
    opened,
)

MODEL = "apothecary-sparse"
HOST = "127.0.0.1"


@command("playground", "Use it", "playground apothecary-sparse --run docs/evidence/audit-sparse")
def playground_command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="[MODEL]", help="A bundled organism, a model folder, a GGUF file, or a hub id."
        ),
    ] = MODEL,
    behavior: Annotated[
        list[str] | None,
        typer.Option(
            "--behavior",
            "-b",
            metavar="NAME",
            help="Begin with this behavior, or a YAML file; repeatable.",
        ),
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Load a finished run of this model at once; repeatable."),
    ] = None,
    port: Annotated[
        int, typer.Option(metavar="N", help="Port; 0 takes a free one.", min=0, max=65535)
    ] = 7860,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen at.")] = HOST,
    allow_remote: Annotated[
        bool,
        typer.Option("--allow-remote", metavar="", help="Let other machines in; needs a token."),
    ] = False,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The token that the page asks for; else FULCRA_PLAYGROUND_TOKEN."
        ),
    ] = None,
    keep_text: Annotated[
        bool,
        typer.Option("--keep-text", metavar="", help="Show the texts of sensitive behaviors."),
    ] = False,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Move a dose by hand and read both texts, on a local page.

    Runs until Ctrl-C. Nothing outside this machine reaches the page unless it is let in.
    """
    from fulcra.engines.serving import bound
    from fulcra.playground.access import access
    from fulcra.playground.beginning import offered
    from fulcra.playground.desk import Desk
    from fulcra.playground.server import COMMAND, require_gradio, serve
    from fulcra.playground.workbench import Workbench

    door = access(host, allow_remote, token_file, os.environ)
    behaviors = offered(model, behavior or ())
    require_gradio()
    with bound(port, host, COMMAND) as entry:
        loaded = opened(model, dtype, device, trust_remote_code=trust_remote_code)
        bench = Workbench(loaded, behaviors, seed)
        choices = [bench.load_run(folder) for folder in run or ()]
        first = choices[0] if choices else bench.first()

        def ready(url: str) -> None:
            if as_json:
                emit_json(url=url, model=loaded.name, token=door.token is not None)
            elif not quiet:
                typer.echo(f"{url} shows {loaded.name}; Ctrl-C ends it")

        serve(Desk(bench, keep_text, not door.remote), first, door, entry, ready)
