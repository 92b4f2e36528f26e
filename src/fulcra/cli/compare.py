"""`fulcra compare`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import (
    Device,
    Dtype,
    Json,
    Out,
    Quiet,
    Seed,
    TrustRemoteCode,
    command,
    emit,
    free,
    opened,
)
from fulcra.cli.bars import bars
from fulcra.errors import InputError

if TYPE_CHECKING:
    from fulcra.types import Behavior


@command(
    "compare",
    "Neuron",
    "compare apothecary-base apothecary-sparse --behavior refusal -b capitals",
)
def compare_command(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL", help="Two or more: bundled organisms, model folders or hub ids."
        ),
    ],
    behavior: Annotated[
        list[str] | None,
        typer.Option(
            "--behavior",
            "-b",
            metavar="NAME",
            help="A behavior, NAME@WORLD, or a YAML file; repeat for more.",
        ),
    ] = None,
    top_k: Annotated[
        int,
        typer.Option(
            metavar="N", help="A fixed set size beside 0.1 % and 1 % of all neurons.", min=1
        ),
    ] = 32,
    ablate: Annotated[
        bool,
        typer.Option(
            metavar="", help="Ablate each model's sets in every model of its shape, by rollouts."
        ),
    ] = True,
    keep_universal: Annotated[
        bool,
        typer.Option(
            "--keep-universal",
            metavar="",
            help="Keep neurons that are among the most active on nearly any prompt.",
        ),
    ] = False,
    out: Out = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare models: where a behavior's neurons lie, which are shared."""
    from rich.markdown import Markdown

    from fulcra.report.comparison import comparison_markdown
    from fulcra.studies.comparison import CompareSettings, compare

    behaviors = [_behavior_in_world(name, models) for name in behavior or ["refusal"]]
    folder = free(out)
    settings = CompareSettings(top_k, seed, ablate, keep_universal)
    with bars(quiet or as_json) as progress:
        result = compare(
            [opened(name, dtype, device, trust_remote_code) for name in models],
            behaviors,
            settings,
            progress,
        )
    if folder is not None:
        result.save(folder)
    emit(result, as_json, quiet, lambda: Markdown(comparison_markdown(result)))


def _behavior_in_world(name: str, models: Sequence[str]) -> "Behavior":
    """The behavior in the world that all models were taught.

    InputError where worlds differ and the behavior names none.
    """
    from fulcra.behaviors import load_behavior
    from fulcra.models import world_of

    worlds = {world_of(model) for model in models}
    loaded = [load_behavior(name, world) for world in worlds]
    behaviors = {behavior.name: behavior for behavior in loaded}
    if len(behaviors) > 1:
        raise InputError(
            f"behavior {name!r}: the models were taught different worlds; name one of"
            f" {', '.join(sorted(behaviors))}, or a YAML file"
        )
    return next(iter(behaviors.values()))
