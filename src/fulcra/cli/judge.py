"""`fulcra judge`, and judges as arguments of other commands."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from fulcra.cli.app import AuditedBehaviors, Device, Json, Quiet, command, emit_json, finite
from fulcra.cli.bars import bars

if TYPE_CHECKING:
    from fulcra.protocol.opinions import Panel
    from fulcra.protocol.results.judging import JudgingResult

PANEL = "Judges"
MENU = "oracle, phrases, language, api:MODEL@URL, model:ID or guard:ID; may be given again."
JudgeNames = Annotated[
    list[str] | None, typer.Option("--judge", metavar="JUDGE", rich_help_panel=PANEL, help=MENU)
]
SendSensitive = Annotated[
    bool,
    typer.Option(
        "--send-sensitive-text",
        metavar="",
        rich_help_panel=PANEL,
        help="Let words of a sensitive behavior go to a judge on another machine.",
    ),
]
AllowHttp = Annotated[
    bool,
    typer.Option(
        "--allow-http",
        metavar="",
        rich_help_panel=PANEL,
        help="Let key and words go unencrypted to an http:// judge on another machine.",
    ),
]
Prices = Annotated[
    list[str] | None,
    typer.Option(
        "--price",
        metavar="IN/OUT",
        rich_help_panel=PANEL,
        help="What an endpoint takes for a million tokens read and written; JUDGE=IN/OUT for one.",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        metavar="S",
        rich_help_panel=PANEL,
        help="Seconds one request to a judge may take.",
        min=0.1,
        callback=finite,
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        metavar="N", rich_help_panel=PANEL, help="Requests to a judge at a time.", min=1, max=64
    ),
]


class Reach(NamedTuple):
    """How endpoints are asked, and the device of judges that are models of this machine."""

    timeout: float
    workers: int
    allow_http: bool
    device: str


@command(
    "judge",
    "Use it",
    "judge runs/tea-1 --judge phrases --judge api:my-model@http://localhost:8000/v1"
    " --price 0.15/0.60",
)
def judge_command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of finished runs.")],
    judge: Annotated[list[str], typer.Option(metavar="JUDGE", rich_help_panel=PANEL, help=MENU)],
    behavior: AuditedBehaviors = None,
    stage: Annotated[
        list[str] | None,
        typer.Option(metavar="STAGE", help="Stages to judge; default: baseline and confirmation."),
    ] = None,
    horizon: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Horizons to judge at, in tokens; default: all of the run."),
    ] = None,
    price: Prices = None,
    send_sensitive_text: SendSensitive = False,
    allow_http: AllowHttp = False,
    timeout: Timeout = 60.0,
    workers: Workers = 8,
    device: Device = "cpu",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge stored rollouts again, by other judges, with agreement."""
    from fulcra.protocol.source import reopened_behaviors
    from fulcra.studies.judging import STAGES, judge_run

    reach = Reach(timeout, workers, allow_http, device)
    panel = seats(judge, reach, price or (), send_sensitive_text)
    results: list[tuple[Path, JudgingResult]] = []
    for folder, task in zip(runs, reopened_behaviors(runs, behavior or ()), strict=True):
        with bars(quiet or as_json) as progress:
            result = judge_run(folder, task, panel, tuple(stage or STAGES), horizon, progress)
        results.append((folder, result))
        if not (as_json or quiet):
            _show(folder, result)
    if as_json:
        documents = [{"run": str(folder), **result.plain()} for folder, result in results]
        emit_json(runs=documents)
    _require_answers(results)


def seats(
    names: Sequence[str], reach: Reach, prices: Sequence[str], send_sensitive: bool
) -> "Panel":
    """The judges of these names, each once, with the prices named."""
    from fulcra.judges.registry import judge_named, prices_named
    from fulcra.protocol.opinions import Panel

    judges = {name: judge_named(name, *reach) for name in dict.fromkeys(names)}
    return Panel(tuple(judges.values()), send_sensitive, prices_named(prices, judges))


def _show(folder: Path, result: "JudgingResult") -> None:
    from rich.console import Console

    from fulcra.report.judges import judges_table

    console = Console()
    console.print(judges_table(result))
    console.print(f"written   {folder / result.file}", highlight=False, soft_wrap=True)


def _require_answers(results: "Sequence[tuple[Path, JudgingResult]]") -> None:
    """Exit code 3 where a judge scored nothing of a run."""
    silent = False
    for folder, result in results:
        for judge in result.judges[1:]:
            if result.completions and not judge.scored:
                silent = True
                typer.echo(
                    f"fulcra: {judge.name} scored none of {result.completions} completions of"
                    f" {folder}; nothing is lost, ask again later",
                    err=True,
                )
    if silent:
        raise typer.Exit(3)
