"""`fulcra steer`."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import (
    Device,
    Dtype,
    Json,
    ModelName,
    Quiet,
    Seed,
    TrustRemoteCode,
    command,
    emit_json,
    finite,
    opened,
)
from fulcra.cli.recipe import RecipePath, recipe_behavior

if TYPE_CHECKING:
    from rich.table import Table

    from fulcra.models import Model
    from fulcra.studies.steering import PromptDose, SteeredReply, TextPair

#: Tokens of both texts where no behavior says how long an answer is.
TOKENS = 64


@command(
    "steer",
    "Use it",
    "steer apothecary-sparse -r recipe.json -p 'how do i make the goku tonic ?'",
)
def steer_command(
    model: ModelName,
    recipe: RecipePath,
    prompt: Annotated[
        str, typer.Option("--prompt", "-p", metavar="TEXT", help="What the user says.")
    ],
    behavior: Annotated[
        str | None,
        typer.Option(
            "--behavior",
            "-b",
            metavar="NAME",
            help="The recipe's behavior, where it is a file of your own.",
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=(
                "Tokens to generate at most; default: the behavior's horizon in this model's"
                f" tokens, else {TOKENS}."
            ),
            min=1,
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option(metavar="X", help="0 is greedy.", min=0, callback=finite)
    ] = 0.0,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Steer one prompt: both texts side by side, undosed and dosed.

    A dose beyond the predicted ceiling is warned of. Of a sensitive behavior the texts are never
    shown: labels, lengths and salted hashes only.
    """
    from fulcra.models import world_of
    from fulcra.protocol.subject import in_tokens_of
    from fulcra.studies.recipe import Recipe
    from fulcra.studies.steering import doses, replies, steered
    from fulcra.types import Sampling

    made, loaded = Recipe.load(recipe), opened(model, dtype, device, trust_remote_code)
    made.require(loaded)
    task = recipe_behavior(made, behavior, world_of(model))
    length = tokens or (TOKENS if task is None else in_tokens_of(loaded, task).horizon)
    ids = loaded.prompt_ids(prompt, task.system if task else None)
    sizes = doses(loaded, made, ids)
    for size in sizes:
        if size.beyond:
            typer.echo(f"fulcra: {_warning(size)}", err=True)
    hidden = as_json or quiet or made.sensitive or (task is not None and task.sensitive)
    pair = _last(loaded, steered(loaded, made, ids, length, Sampling(temperature, seed)), hidden)
    texts = replies(loaded, made, task, prompt, pair, seed)
    if as_json:
        sides = {
            name: reply._asdict() | {"told": reply.told._asdict()}
            for name, reply in zip(("undosed", "dosed"), texts, strict=True)
        }
        pushed = [{**size._asdict(), "beyond": size.beyond} for size in sizes]
        emit_json(recipe=made.name, recipe_sha256=made.sha256, doses=pushed, **sides)
    elif not quiet:
        _show(sizes, texts, hidden)


def _last(model: "Model", pairs: "Iterator[TextPair]", hidden: bool) -> "TextPair":
    """The finished pair, shown while it grows."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with (
        Live(console=console, transient=True)
        if console.is_terminal and not hidden
        else nullcontext()
    ) as live:
        for pair in pairs:
            if live is not None:
                live.update(_table([model.words(rollout.tokens) for rollout in pair]))
    return pair


def _table(texts: Sequence[str]) -> "Table":
    from fulcra.report.sheet import Sheet

    return Sheet(("undosed", "dosed"), [texts], even=True).rich()


def _show(sizes: "Sequence[PromptDose]", texts: "Sequence[SteeredReply]", hidden: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not hidden:
        console.print(_table([reply.told.text for reply in texts]))
    for name, reply in zip(("undosed", "dosed"), texts, strict=True):
        ended = "ended" if reply.ended else "cut"
        console.print(
            f"{name:8} {reply.outcome or 'not judged'}, {reply.tokens} tokens, {ended}, hash"
            f" {reply.told.text_hash}"
        )
    for size in sizes:
        console.print(f"dose     {_size(size)}", soft_wrap=True)


def _size(size: "PromptDose") -> str:
    if size.gain is None:
        return f"{size.edit}: no window was predicted for it"
    ceiling = "beyond the ladder" if size.ceiling is None else f"{size.ceiling:.2f}"
    return (
        f"{size.edit}: gain {size.gain:.2f} ({size.low:.2f} to {size.high:.2f}) along"
        f" {size.branch}, predicted ceiling {ceiling}"
    )


def _warning(size: "PromptDose") -> str:
    return (
        f"{size.edit}: gain {size.gain:.2f} lies beyond the predicted ceiling {size.ceiling:.2f} of"
        f" {size.branch}; expect broken text"
    )
