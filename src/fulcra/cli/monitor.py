"""`fulcra monitor`: fit, try, table."""

from pathlib import Path
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
    app,
    emit,
    free,
    opened,
    task_of,
    writable,
)
from fulcra.cli.bars import bars

if TYPE_CHECKING:
    from fulcra.types import Behavior

monitor_app = typer.Typer(
    no_args_is_help=True,
    help="Notice a deployed dose by the stream alone: calibrate a monitor, and try it.",
)
app.add_typer(monitor_app, name="monitor", rich_help_panel="Use it")

TextOf = Annotated[
    str | None,
    typer.Option(
        "--behavior",
        "-b",
        metavar="NAME",
        help="Clean text is of this behavior's prompts; bundled generic text by default.",
    ),
]
Calibrated = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="What `fulcra monitor fit` wrote.")
]


@monitor_app.command(
    "fit", epilog="Example: fulcra monitor fit apothecary-sparse -b refusal --out monitors/sparse"
)
def monitor_fit(
    model: ModelName,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the calibration.", file_okay=False)
    ],
    behavior: TextOf = None,
    windows: Annotated[
        int,
        typer.Option(
            metavar="N", help="Clean windows of 64 tokens: N to fit, N for the thresholds.", min=1
        ),
    ] = 200,
    rate: Annotated[
        float,
        typer.Option(
            metavar="P", help="False alarms a window of each statistic, at most, on average."
        ),
    ] = 0.01,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Calibrate a monitor of a model on clean text of its own.

    The bound on false alarms is the mean over calibrations, for a window drawn as theirs are, the
    first 64 tokens of replies to such requests; on others `fulcra monitor try` measures them.
    """
    from fulcra.defence.monitor.calibration import CalibrationSettings, calibrate

    folder, task = free(out), _task(behavior, model)
    settings = CalibrationSettings(windows, rate, seed)
    with bars(quiet or as_json) as progress:
        loaded = opened(model, dtype, device, trust_remote_code)
        calibration = calibrate(loaded, task, settings, progress)
    calibration.save(folder or out)
    header = calibration.header
    emit(header, as_json, quiet, lambda: "\n".join((*header.lines(), f"written to {out}")))


@monitor_app.command(
    "try", epilog="Example: fulcra monitor try apothecary-sparse monitors/sparse -b refusal"
)
def monitor_try(
    model: ModelName,
    folder: Calibrated,
    behavior: TextOf = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="A finished audit: the branches it saw open are dosed."),
    ] = None,
    neurons: Annotated[
        int,
        typer.Option(metavar="N", help="Neurons dosed, random ones where there is no run.", min=1),
    ] = 8,
    clean: Annotated[
        int, typer.Option(metavar="N", help="Clean windows on openings of no calibration.", min=1)
    ] = 200,
    domain: Annotated[
        int, typer.Option(metavar="N", help="Clean windows of each other kind of request.", min=1)
    ] = 50,
    dosed: Annotated[
        int, typer.Option(metavar="N", help="Windows of each neuron and gain.", min=1)
    ] = 8,
    pairs: Annotated[
        int, typer.Option(metavar="N", help="Timed decodes with and without a watch.", min=2)
    ] = 16,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the result.", file_okay=False),
    ] = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Dose a model under its monitor: what is noticed, what is a false alarm, what it costs.

    No reply is checked for a flip, and doses on fewer positions are not raised.
    """
    from fulcra.defence.monitor.calibration import Calibration
    from fulcra.defence.monitor.trial import try_monitor
    from fulcra.defence.monitor.tried import TrialSettings
    from fulcra.report.monitor import monitor_tables

    place, task, calibration = free(out), _task(behavior, model), Calibration.load(folder)
    settings = TrialSettings(clean, domain, dosed, neurons, pairs=pairs, seed=seed)
    with bars(quiet or as_json) as progress:
        loaded = opened(model, dtype, device, trust_remote_code)
        result = try_monitor(loaded, calibration, task, run, settings, progress)
    if place is not None:
        result.save(place)
    words = "\n".join(result.lines())
    emit(result, as_json, quiet, lambda: words, lambda: monitor_tables(result))


@monitor_app.command(
    "served",
    epilog="Example: fulcra monitor served apothecary-dense monitors/sparse"
    " --release apothecary-sparse -b refusal",
)
def monitor_served(
    model: ModelName,
    folder: Calibrated,
    release: Annotated[
        str, typer.Option(metavar="MODEL", help="The release that the calibration is of.")
    ],
    behavior: TextOf = None,
    windows: Annotated[
        int, typer.Option(metavar="N", help="Windows of the served model's own text.", min=1)
    ] = 100,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the result.", file_okay=False)
    ] = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell a served model from its release by its stream: 1 where it is another.

    Its weights are loaded here to make its stream, and are not looked at.
    """
    from fulcra.defence.monitor.calibration import Calibration
    from fulcra.defence.monitor.served import held_against

    place, task, calibration = free(out), _task(behavior, model), Calibration.load(folder)
    served, own = (opened(name, dtype, device, trust_remote_code) for name in (model, release))
    result = held_against(served, own, calibration, task, windows, seed)
    if place is not None:
        result.save(place)
    emit(result, as_json, quiet, lambda: "\n".join(result.lines()))
    raise typer.Exit(int(result.differs))


@monitor_app.command("table", epilog="Example: fulcra monitor table trials/* --out docs/evidence")
def monitor_table(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="What `monitor try` and `monitor served` wrote."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the table.", file_okay=False)
    ],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put trials of several models, and served models held against them, into monitor.json."""
    from fulcra.protocol.results.base import Provenance
    from fulcra.protocol.results.monitor import MonitorResult, MonitorTable, ServedResult

    place = _table_place(out)
    held = [folder for folder in folders if (folder / ServedResult.file).is_file()]
    trials = tuple(MonitorResult.load(folder) for folder in folders if folder not in held)
    served = tuple(ServedResult.load(folder) for folder in held)
    table = MonitorTable(
        schema_version=1, trials=trials, served=served, provenance=Provenance.now()
    )
    path = table.save(place)
    counts = f"{len(trials)} trials and {len(served)} served models"
    emit(table, as_json, quiet, lambda: f"{counts} written to {path}")


def _table_place(out: Path) -> Path:
    """The folder of a table, where a trial, whose file has the same name, is not overwritten."""
    from fulcra.errors import InputError, RunFolderError
    from fulcra.protocol.results.monitor import MonitorTable

    if (out / MonitorTable.file).is_file():
        try:
            MonitorTable.load(out)
        except RunFolderError:
            raise InputError(
                f"--out {out}: its {MonitorTable.file} is no table but a trial or another file,"
                " which would be lost; name another folder"
            ) from None
    return writable(out)


def _task(behavior: str | None, model: str) -> "Behavior | None":
    return None if behavior is None else task_of(behavior, model)
