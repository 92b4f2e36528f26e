"""The command line: arguments to a study, progress and tables; every refusal is one line."""

import json
import os
import sys
from dataclasses import asdict
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, NoReturn

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from typer.exceptions import TyperException

from fulcra.behaviors import behavior_names, behavior_schema, load_behavior
from fulcra.errors import FulcraError
from fulcra.models import check, families_markdown, families_table, load
from fulcra.report import audit_table
from fulcra.store import REPORT, fresh_folder
from fulcra.studies.audit import AuditSettings, audit
from fulcra.studies.clock import Silent
from fulcra.studies.verify import verify

DEFAULT_MODEL = "apothecary-sparse"
INTERRUPTED = 130

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich", help=__doc__)
behavior_app = typer.Typer(no_args_is_help=True, help="Behaviors that can be audited: the bundled ones and the format of your own.")
app.add_typer(behavior_app, name="behavior")

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table.")]
Seed = Annotated[int, typer.Option(help="Seed of generic text, sampling and every random choice.", min=0)]


class Screen(StrEnum):
    """How the screened neurons are found."""

    window = "window"
    contrastive = "contrastive"


class _Bars:
    """Progress of a study as rich bars with time left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begin(self, step: str, total: int) -> None:
        """Finish the running step and show the next; total 0 is a step without a count."""
        self.close()
        self._task = self._progress.add_task(step, total=total or None)

    def advance(self, done: int) -> None:
        """More of the running step is done."""
        if self._task is not None:
            self._progress.advance(self._task, done)

    def close(self) -> None:
        """Mark the running step as finished."""
        if self._task is not None:
            task = next(t for t in self._progress.tasks if t.id == self._task)
            total = task.total or max(task.completed, 1)
            self._progress.update(self._task, total=total, completed=total)


@app.command("audit", epilog="Example: fulcra audit apothecary-dense --behavior refusal --neurons 12 --out runs/dense")
def audit_command(
    model: Annotated[str, typer.Argument(help="A bundled organism, a model folder or a hub id.")] = DEFAULT_MODEL,
    behavior: Annotated[str, typer.Option("--behavior", "-b", help="A bundled behavior or a YAML file.")] = "refusal",
    neurons: Annotated[int, typer.Option(help="Screened neurons, both poles each.", min=1)] = 12,
    random: Annotated[int, typer.Option(help="Random neurons for prevalence, both poles each.", min=0)] = 12,
    controls: Annotated[int, typer.Option(help="Random control neurons, and as many directions.", min=20)] = 20,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; an interrupted run goes on in it. Default: a new one under runs/.")
    ] = None,
    screen: Annotated[
        Screen, typer.Option(help="window: both edges forecast for every neuron; contrastive: activation gaps alone.")
    ] = Screen.window,
    seed: Seed = 0,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; float32 on the CPU by default.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Which single neuron can flip a behavior, from what dose to what dose: predicted, committed, then measured."""
    task = load_behavior(behavior)
    folder = out or fresh_folder(Path("runs"), f"{Path(model).name}-{task.name}")
    settings = AuditSettings(neurons, random, controls, seed, screen=screen.value)
    console = Console(stderr=True)
    silent = quiet or as_json or not console.is_terminal
    columns = (TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=silent) as progress:
        bars = _Bars(progress)
        loaded = load(model, dtype)
        found = audit(loaded, task, settings, folder, Silent() if silent else bars)
        bars.close()
    _show(found, folder, as_json, quiet)


def _show(found: dict[str, Any], folder: Path, as_json: bool, quiet: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
    elif not quiet:
        console = Console()
        console.print(audit_table(found))
        committed, seconds = found["summary"]["commitment_sha256"][:16], found["timing"]["cpu_seconds"]
        console.print(f"committed {committed} before the first dosed rollout; {seconds:.0f} CPU seconds", highlight=False)
        console.print(f"report    {folder / REPORT}", highlight=False, soft_wrap=True)
    if not found["summary"]["protocol_reproduced"]:
        why = "the undosed model does not show the behavior, or the positive control does not act"
        typer.echo(f"fulcra: no verdict is drawn (protocol_not_reproduced): {why}", err=True)
        raise typer.Exit(3)


@app.command("verify", epilog="Example: fulcra verify runs/apothecary-sparse-refusal-1")
def verify_command(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished run.")], as_json: Json = False, quiet: Quiet = False
) -> None:
    """Recompute the hashes, counts and scores of a run from its commitment and its rollouts."""
    checks = verify(folder)
    if as_json:
        typer.echo(json.dumps({"passed": all(check.passed for check in checks), "checks": [check._asdict() for check in checks]}))
    elif not quiet:
        for check in checks:
            typer.echo(f"{'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


@app.command("families", epilog="Example: fulcra families --json")
def families_command(
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page of the documentation.")] = False,
    quiet: Quiet = False,
) -> None:
    """The model families fulcra can read and edit, each verified anew on a tiny random model."""
    if markdown:
        typer.echo(families_markdown(), nl=False)
        return
    reports = families_table()
    if as_json:
        typer.echo(json.dumps([{**asdict(report), "passed": report.passed} for report in reports]))
    elif not quiet:
        table = Table("model type", "neurons: input of", "effective write", *(one.name for one in reports[0].checks))
        for report in reports:
            states = ["ok" if one.passed else "FAIL" for one in report.checks]
            table.add_row(report.model_type, report.neurons, report.effective_write, *states)
        Console().print(table)
    if not all(report.passed for report in reports):
        raise typer.Exit(1)


@app.command("check", epilog="Example: fulcra check apothecary-sparse --json")
def check_command(
    model: Annotated[str, typer.Argument(help="A bundled organism, a model folder or a hub id.")],
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; float32 on the CPU by default.")] = None,
    device: Annotated[str, typer.Option(help="A torch device, or auto: all there are, then the CPU, then the disk.")] = "cpu",
    bits: Annotated[int | None, typer.Option(help="8 or 4 for quantized weights.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the load-time validation of a model and print each check with its numbers; exit code 1 if one fails."""
    checks = check(load(model, dtype, device, bits=bits, check=False))
    passed = all(one.passed is not False for one in checks)
    if as_json:
        entries = [asdict(one) | {"found": one.found if isfinite(one.found) else None} for one in checks]
        typer.echo(json.dumps({"model": model, "passed": passed, "checks": entries}))
    elif not quiet:
        for one in checks:
            state = "n/a " if one.passed is None else "ok  " if one.passed else "FAIL"
            note = f" ({one.note})" if one.note else ""
            typer.echo(f"{state} {one.name:8} {one.module}: {one.law}: {one.numbers}{note}")
    if not passed:
        raise typer.Exit(1)


@behavior_app.command("list", epilog="Example: fulcra behavior list --json")
def behavior_list(as_json: Json = False) -> None:
    """The bundled behaviors and what flips in each."""
    found = {name: load_behavior(name) for name in behavior_names()}
    if as_json:
        typer.echo(
            json.dumps({name: {"flip": task.flip, "horizon": task.horizon, "sensitive": task.sensitive} for name, task in found.items()})
        )
        return
    for name, task in found.items():
        typer.echo(f"{name:12} {task.flip}")


@behavior_app.command("schema", epilog="Example: fulcra behavior schema > behavior.schema.json")
def behavior_schema_command() -> None:
    """The JSON schema of a behavior file."""
    typer.echo(json.dumps(behavior_schema(), indent=1))


def main() -> None:
    """Run the command line; a refusal is one line on stderr and its exit code, Ctrl-C is 130."""
    if hasattr(os, "sched_getaffinity"):
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        code = int(app(prog_name="fulcra", standalone_mode=False) or 0)
        sys.stdout.flush()
    except FulcraError as error:
        _leave(f"fulcra: {error}", error.exit_code)
    except TyperException as error:
        _leave(_usage(error), 2)
    except OSError as error:
        place = error.filename or "the output"
        _leave(f"fulcra: {place}: {error.strerror or error}; check the path, its permissions and the space left", 2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        _leave("fulcra: interrupted; the same command, with the same --out, goes on where this one stopped", code)
    sys.exit(code)


def _usage(error: TyperException) -> str:
    """What is wrong with the arguments, in one line; empty where the help itself was printed."""
    said, context = error.format_message(), getattr(error, "ctx", None)
    return said and f"fulcra: {said.rstrip('.')}; see `{context.command_path if context else 'fulcra'} --help`"


def _leave(line: str, code: int) -> NoReturn:
    if line:
        typer.echo(" ".join(line.split()), err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
