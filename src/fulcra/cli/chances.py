"""`fulcra research chances`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import (
    BehaviorName,
    Device,
    Dtype,
    Json,
    Quiet,
    RunOut,
    Seed,
    TrustRemoteCode,
    emit,
    kept_in,
    new_folder,
    opened,
    research_command,
    task_of,
)
from fulcra.cli.bars import bars
from fulcra.errors import InputError

if TYPE_CHECKING:
    from fulcra.backtest.chance_curves import Member

Models = Annotated[
    list[str],
    typer.Argument(metavar="MODEL...", help="One or more: each is forecast by the others' noise."),
]


@research_command("chances", "chances apothecary-sparse --census docs/evidence/census-sparse")
def chances_command(
    model: Models,
    behavior: BehaviorName = "refusal",
    census_folder: Annotated[
        list[Path] | None,
        typer.Option(
            "--census", metavar="DIR", help="A finished census of each model, in their order."
        ),
    ] = None,
    others: Annotated[
        int,
        typer.Option(metavar="N", help="Random branches beside the forecast windows.", min=1),
    ] = 250,
    texts: Annotated[
        int, typer.Option(metavar="N", help="Generic texts of the divergence.", min=1)
    ] = 4,
    out: RunOut = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say how likely each branch is to open, before any rollout."""
    from fulcra.backtest.chance_curves import Member
    from fulcra.backtest.chances import branch_chances
    from fulcra.protocol.results.chances import ChanceSettings
    from fulcra.report.chances_page import chances_sheet

    places = _places(model, census_folder or [])
    tasks = [task_of(behavior, name) for name in model]

    def members() -> Iterator["Member"]:
        for name, task, place in zip(model, tasks, places, strict=True):
            loaded = opened(name, dtype, device, trust_remote_code)
            yield Member(loaded, task, place)

    folder = new_folder(out, f"chances-{Path(model[0]).name}-{tasks[0].name}")
    settings = ChanceSettings(others=others, texts=texts, seed=seed)
    with kept_in(folder, out), bars(quiet or as_json) as progress:
        result = branch_chances(members(), settings, folder, progress)
        result.save(folder)
    written = f"written to {folder / result.file}"
    words = "\n".join(result.lines())
    shown = (lambda: words, lambda: chances_sheet(result).rich(), lambda: written)
    emit(result, as_json, quiet, *shown)


def _places(models: list[str], censuses: list[Path]) -> list[Path | None]:
    """The census of each model; InputError unless there is one for each, or none at all."""
    if not censuses:
        return [None] * len(models)
    if len(censuses) != len(models):
        raise InputError(
            f"--census: {len(censuses)} folders for {len(models)} models; give one a model, in"
            " their order"
        )
    return list(censuses)
