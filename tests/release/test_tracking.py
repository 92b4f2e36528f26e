"""Each tracker's own client reads back what was logged; no network, nothing outside tmp_path."""

from pathlib import Path

import pytest

from fulcra.errors import InputError
from fulcra.release.finished import FinishedRun, finished_run
from fulcra.release.tracking import PROJECT, metrics, track
from tests.release.conftest import DENSE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run() -> FinishedRun:
    return finished_run(DENSE)


def test_every_figure_is_a_number_with_its_ends(run: FinishedRun) -> None:
    logged = metrics(run)
    assert logged["open_fraction"] == 0
    assert (logged["open_fraction.high"], logged["open_fraction.n"]) == (0.125, 24)
    assert logged["branches.measured"] == 48
    assert not [name for name in logged if "%" in name]


def test_a_client_that_is_missing_is_one_line(
    run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(InputError, match=r"pip install 'fulcra\[tracking\]'"):
        track("trackio", run)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_the_metrics_back(
    run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(tmp_path.as_uri())
    track("mlflow", run)
    (stored,) = mlflow.search_runs(experiment_names=[PROJECT], output_format="list")
    assert stored.data.metrics == pytest.approx(metrics(run))
    assert stored.data.params["model"] == "apothecary-dense"


@pytest.mark.filterwarnings("ignore")
def test_trackio_reads_the_metrics_back(
    run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    trackio = pytest.importorskip("trackio")
    track("trackio", run)
    (stored,) = trackio.Api().runs(PROJECT)
    assert stored.name == "audit-dense"


@pytest.mark.filterwarnings("ignore")
def test_wandb_writes_its_log_offline(
    run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    track("wandb", run)
    assert list(tmp_path.rglob("*.wandb"))
