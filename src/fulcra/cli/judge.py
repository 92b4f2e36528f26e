"""`fulcra judge`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fulcra.cli.app import Json, Quiet, app
from fulcra.cli.bars import bars
from fulcra.judges.judge import Judge
from fulcra.judges.registry import MENU, judge_named, prices_named
from fulcra.report.judges import judges_table
from fulcra.studies.judging import JUDGEMENTS, STAGES, audited_behaviors, judge_run

SendSensitive = Annotated[
    bool,
    typer.Option(
        "--send-sensitive-text",
        help="Let words of a sensitive behavior go to a judge on another machine.",
    ),
]
Prices = Annotated[
    list[str] | None,
    typer.Option(
        "--price",
        help=(
            "IN/OUT: what an endpoint takes for a million tokens read and written; JUDGE=IN/OUT for"
            " one of several."
        ),
    ),
]
Timeout = Annotated[float, typer.Option(help="Seconds one request to a judge may take.", min=0.1)]
Workers = Annotated[int, typer.Option(help="Requests to a judge at a time.", min=1, max=64)]


@app.command(
    "judge",
    epilog=(
        "Example: fulcra judge runs/tea-1 --judge phrases --judge"
        " api:my-model@http://localhost:8000/v1 --price 0.15/0.60"
    ),
)
def judge_command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    judge: Annotated[list[str], typer.Option(help=f"{MENU}; may be given again.")],
    behavior: Annotated[
        list[str] | None,
        typer.Option(
            "--behavior",
            "-b",
            help="The YAML file a run audited; not needed for a built-in behavior.",
        ),
    ] = None,
    stage: Annotated[
        list[str] | None, typer.Option(help=f"Stages to judge; default: {', '.join(STAGES)}.")
    ] = None,
    horizon: Annotated[
        list[int] | None,
        typer.Option(help="Horizons to judge at, in tokens; default: all of the run."),
    ] = None,
    price: Prices = None,
    send_sensitive_text: SendSensitive = False,
    timeout: Timeout = 60.0,
    workers: Workers = 8,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge the stored rollouts of runs again, by other judges, at every horizon, and see where
    they agree and where not.
    """
    judges = seats(judge, timeout, workers)
    prices = prices_named(price or (), judges)
    found = []
    for folder, task in zip(runs, audited_behaviors(runs, behavior or ()), strict=True):
        with bars(quiet or as_json) as progress:
            asked = (
                folder,
                task,
                list(judges.values()),
                tuple(stage or STAGES),
                horizon,
                send_sensitive_text,
                prices,
            )
            found.append({"run": str(folder), **judge_run(*asked, progress)})
        if not (as_json or quiet):
            _show(found[-1])
    if as_json:
        typer.echo(json.dumps({"runs": found}))
    _require_answers(found)


def seats(names: list[str], timeout: float, workers: int) -> dict[str, Judge]:
    """The judges by the names they were asked for."""
    return {name: judge_named(name, timeout, workers) for name in dict.fromkeys(names)}


def _show(found: dict[str, Any]) -> None:
    console = Console()
    console.print(judges_table(found))
    console.print(f"written   {Path(found['run']) / JUDGEMENTS}", highlight=False, soft_wrap=True)


def _require_answers(runs: list[dict[str, Any]]) -> None:
    """Exit code 3 where a judge scored nothing of a run."""
    silent = [
        (run, one["name"])
        for run in runs
        for one in run["judges"][1:]
        if run["completions"] and not one["scored"]
    ]
    for run, name in silent:
        typer.echo(
            f"fulcra: {name} scored none of {run['completions']} completions of {run['run']};"
            " nothing is lost, ask again later",
            err=True,
        )
    if silent:
        raise typer.Exit(3)
