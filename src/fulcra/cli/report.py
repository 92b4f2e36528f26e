"""`fulcra report`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import Json, Quiet, command, emit, writable
from fulcra.errors import InputError


class Format(StrEnum):
    """The formats that a run is written in."""

    sarif = "sarif"
    every_eval_ever = "every-eval-ever"
    cyclonedx = "cyclonedx"
    model_card = "model-card"
    inspect = "inspect"


class Tracker(StrEnum):
    """The trackers of experiments that a run is logged to."""

    mlflow = "mlflow"
    wandb = "wandb"
    trackio = "trackio"


@command("report", "Audit", "report runs/before runs/after --out changes")
def report_command(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs, oldest first.")
    ],
    form: Annotated[
        Format | None,
        typer.Option(
            "--as", metavar="FORMAT", help=f"One run in a format of others: {', '.join(Format)}."
        ),
    ] = None,
    tracker: Annotated[
        Tracker | None,
        typer.Option(
            "--track", metavar="TRACKER", help=f"Log the figures of runs to {', '.join(Tracker)}."
        ),
    ] = None,
    public: Annotated[
        bool,
        typer.Option(
            "--public", metavar="", help="The sealed form of one run: counts, no neuron or dose."
        ),
    ] = False,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="DIR",
            help="Write a run's page with what effects, judge or research screens left in DIR.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Folder for summary, page and tables; with --as the file, of inspect a folder.",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show runs side by side, or tell one in another form."""
    ways = {"--as": form, "--track": tracker, "--public": public or None, "--with": beside or None}
    chosen = [name for name, value in ways.items() if value is not None]
    if len(chosen) > 1:
        raise InputError(f"report: {' and '.join(chosen)} are forms of their own; choose one")
    if beside:
        page_with(beside, runs, out, as_json, quiet)
        return
    if tracker is not None:
        tracked(tracker, runs, out, as_json, quiet)
        return
    if public:
        publish(runs, out, as_json, quiet)
        return
    if form is None:
        show_side_by_side(runs, out, as_json, quiet)
        return
    if as_json:
        raise InputError(f"--json: prints runs side by side; leave it out, or --as {form}")
    written_as(form, runs, out)
    if not quiet:
        typer.echo(f"written   {out}")


def show_side_by_side(runs: list[Path], out: Path | None, as_json: bool, quiet: bool) -> None:
    """Print the summary of runs side by side; with a folder, write it with page and tables."""
    from fulcra.release.changes import finished_runs, side_by_side
    from fulcra.release.tables import tables, write_tables
    from fulcra.report.changes import changes_markdown
    from fulcra.store import empty_folder

    folder = None if out is None else empty_folder(out)
    finished = finished_runs(runs)
    result = side_by_side(finished)
    if folder is not None:
        result.save(folder)
        write_tables(folder / "tables", tables(result, finished))
    emit(result, as_json, quiet, lambda: changes_markdown(result).rstrip())


def tracked(
    tracker: Tracker, runs: list[Path], out: Path | None, as_json: bool, quiet: bool
) -> None:
    """Log the figures of every run that was named; InputError where a file or JSON is asked for."""
    from fulcra.release.changes import finished_runs
    from fulcra.release.tracking import track

    if as_json:
        raise InputError(f"--json: prints runs side by side; leave it out, or --track {tracker}")
    if out is not None:
        raise InputError(f"--out {out}: --track {tracker} writes where its client is set to")
    for run in finished_runs(runs):
        track(tracker, run)
        if not quiet:
            typer.echo(f"logged    {run.name} to {tracker}")


def publish(runs: list[Path], out: Path | None, as_json: bool, quiet: bool) -> None:
    """Write the sealed form of the one run that was named; InputError where there are more."""
    from fulcra.release.public import public_form
    from fulcra.report.public import public_markdown
    from fulcra.store import empty_folder

    if len(runs) != 1:
        raise InputError(f"--public: seals one run, {len(runs)} were named; name one")
    if out is None:
        raise InputError("--public: name the folder to write, --out DIR, apart from the run's")
    result = public_form(runs[0], empty_folder(out))
    result.save(out)
    emit(result, as_json, quiet, lambda: public_markdown(result).rstrip())


def page_with(
    folders: list[Path], runs: list[Path], out: Path | None, as_json: bool, quiet: bool
) -> None:
    """Write the page of the one run that was named with what was measured beside it."""
    from fulcra.release.beside import beside_of
    from fulcra.release.finished import finished_run
    from fulcra.store import REPORT, empty_folder, write_text

    if len(runs) != 1:
        raise InputError(f"--with: writes the page of one run, {len(runs)} were named; name one")
    if as_json:
        raise InputError("--json: prints runs side by side; leave it out, or --with")
    if out is None:
        raise InputError("--with: name the folder for the page, --out DIR")
    path, run = empty_folder(out) / REPORT, finished_run(runs[0])
    write_text(path, run.result.page(beside_of(run, folders)))
    if not quiet:
        typer.echo(f"written   {path}")


def written_as(form: Format, runs: list[Path], out: Path | None) -> None:
    """Write the one run that was named in a format; InputError where there are more."""
    from fulcra.release.finished import finished_run, require_outside
    from fulcra.release.formats.registry import write_as
    from fulcra.store import empty_folder

    if len(runs) != 1:
        raise InputError(f"--as {form}: writes one run, {len(runs)} were named; name one")
    folder = form is Format.inspect
    if out is None:
        what = "new folder to write, --out DIR" if folder else "file to write, --out FILE"
        raise InputError(f"--as {form}: name the {what}")
    require_outside("--out", out, runs[0])
    if folder:
        empty_folder(out)
    else:
        writable(out.parent)
    write_as(form, finished_run(runs[0]), out)
