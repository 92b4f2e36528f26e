"""The figures of a run in a tracker of experiments, through the tracker's own client."""

from collections.abc import Callable, Iterator
from pathlib import Path

from fulcra.errors import InputError
from fulcra.release.figures import figures
from fulcra.release.finished import FinishedRun, require_verdict
from fulcra.store import AUDIT, REPORT

PROJECT = "fulcra"
#: The files of a run that a tracker takes besides.
FILES = (AUDIT, REPORT)


def track(tracker: str, run: FinishedRun) -> None:
    """Log a run's figures by name, their ends and numbers, and what run it is.

    Where to is the client's own setting (MLFLOW_TRACKING_URI, WANDB_MODE, TRACKIO_DIR, ...).
    Inconclusive where the run draws no verdict, InputError where the client is not installed.
    """
    require_verdict(run)
    try:
        TRACKERS[tracker](run)
    except ImportError as error:
        raise InputError(
            f"--track {tracker}: its client is not installed ({error.name}); pip install"
            " 'fulcra[tracking]'"
        ) from None


def metrics(run: FinishedRun) -> dict[str, float]:
    """Every number of the figures by name; an end beyond the ladder is left out."""
    return dict(_metrics(run))


def _metrics(run: FinishedRun) -> Iterator[tuple[str, float]]:
    summary = run.result.summary
    for name in ("measured", "open", "closed", "undetermined"):
        yield f"branches.{name}", float(getattr(summary, name))
    for figure in figures(run):
        # trackers allow no other characters in a name
        name = figure.name.replace("%", "_percent")
        ends = {"": figure.value, ".low": figure.low, ".high": figure.high, ".n": float(figure.n)}
        yield from ((f"{name}{end}", value) for end, value in ends.items() if value is not None)


def settings(run: FinishedRun) -> dict[str, str]:
    """What run it is: model, behavior, code and commitment."""
    result = run.result
    return {
        "model": Path(result.model.name).name,
        "model_sha256": result.model.sha256,
        "behavior": result.behavior.name,
        "behavior_sha256": result.behavior.sha256,
        "commitment_sha256": result.summary.commitment_sha256,
        "fulcra": result.provenance.fulcra,
        "code": result.provenance.code,
    }


def _files(run: FinishedRun) -> list[Path]:
    return [path for name in FILES if (path := run.files.folder / name).is_file()]


def _mlflow(run: FinishedRun) -> None:
    import mlflow

    mlflow.set_experiment(PROJECT)
    with mlflow.start_run(run_name=run.name):
        mlflow.log_params(settings(run))
        mlflow.log_metrics(metrics(run))
        for path in _files(run):
            mlflow.log_artifact(str(path))


def _wandb(run: FinishedRun) -> None:
    import wandb

    logged = wandb.init(project=PROJECT, name=run.name, config=settings(run))
    logged.log(metrics(run))
    artifact = wandb.Artifact(f"audit-{settings(run)['commitment_sha256'][:16]}", "audit")
    for path in _files(run):
        artifact.add_file(str(path))
    logged.log_artifact(artifact)
    logged.finish()


def _trackio(run: FinishedRun) -> None:
    import trackio

    trackio.init(project=PROJECT, name=run.name, config=settings(run))
    trackio.log(metrics(run))
    trackio.finish()


TRACKERS: dict[str, Callable[[FinishedRun], None]] = {
    "mlflow": _mlflow,
    "wandb": _wandb,
    "trackio": _trackio,
}
