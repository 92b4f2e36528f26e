"""`fulcra monitor`: fit, try, served, table on the bundled organism; refusals in one line."""

import json
from pathlib import Path

import pytest

from fulcra import Behavior, Model
from fulcra.defence.monitor.calibration import CalibrationSettings, calibrate
from fulcra.protocol.results.monitor import MonitorTable
from fulcra.report.defence_page import defence_page
from tests.cli.conftest import Call


@pytest.fixture(scope="module")
def fitted(sparse: Model, refusal: Behavior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("monitor")
    calibrate(sparse, refusal, CalibrationSettings(windows=20, rate=0.05)).save(folder)
    return folder


def test_too_little_text_for_the_rate_is_refused(fulcra: Call, tmp_path: Path) -> None:
    arguments = ("apothecary-sparse", "-b", "refusal", "--windows", "50", "--out", tmp_path / "new")
    left = fulcra("monitor", "fit", *arguments)
    assert "50 clean windows, and a false-alarm rate of 0.01 takes 99" in left.refusal
    assert not (tmp_path / "new").exists()


def test_a_monitor_of_another_model_is_refused(fulcra: Call, fitted: Path) -> None:
    left = fulcra("monitor", "try", "apothecary-dense", fitted, "-b", "refusal")
    assert "calibrated on apothecary-sparse (float32" in left.refusal
    assert "run `fulcra monitor fit` on it" in left.refusal


def test_a_folder_without_a_calibration_is_refused(fulcra: Call, tmp_path: Path) -> None:
    left = fulcra("monitor", "try", "apothecary-sparse", tmp_path)
    assert "no calibration.json" in left.refusal


def test_other_openings_than_those_of_the_calibration_are_refused(
    fulcra: Call, fitted: Path
) -> None:
    left = fulcra("monitor", "try", "apothecary-sparse", fitted, "-b", "capitals")
    assert "calibrated on --behavior refusal" in left.refusal


def test_a_served_model_is_not_held_against_thresholds_of_other_text(
    fulcra: Call, fitted: Path
) -> None:
    own = ("apothecary-sparse", fitted, "--release", "apothecary-sparse")
    left = fulcra("monitor", "served", *own)
    assert "calibrated on --behavior refusal, other openings" in left.refusal


def test_an_audit_of_another_model_is_refused(fulcra: Call, fitted: Path) -> None:
    run = Path(__file__).parents[2] / "docs" / "evidence" / "audit-dense"
    left = fulcra("monitor", "try", "apothecary-sparse", fitted, "-b", "refusal", "--run", run)
    assert "an audit of apothecary-dense" in left.refusal


def test_a_table_overwrites_a_table_and_no_trial(fulcra: Call, tmp_path: Path) -> None:
    table = MonitorTable.load(Path(__file__).parents[2] / "docs" / "evidence")
    path, served = table.trials[0].save(tmp_path / "a"), table.served[0].save(tmp_path / "b")
    before, both = path.read_bytes(), (path.parent, served.parent)
    left = fulcra("monitor", "table", *both, "--out", path.parent)
    assert "its monitor.json is no table but a trial or another file, which" in left.refusal
    assert path.read_bytes() == before
    for _ in range(2):
        left = fulcra("monitor", "table", *both, "--out", tmp_path / "table")
        assert left.out.startswith("1 trials and 1 served models written to")


@pytest.mark.slow
def test_a_trial_is_tables_and_a_file_and_a_page(
    fulcra: Call, fitted: Path, tmp_path: Path
) -> None:
    sizes = ("--neurons", 1, "--clean", 4, "--domain", 1, "--dosed", 1, "--pairs", 2)
    target = ("apothecary-sparse", fitted, "-b", "refusal")
    left = fulcra("monitor", "try", *target, *sizes, "--out", tmp_path / "trial")
    assert left.code == 0
    for words in ("windows with an alarm", "false alarms", "1 in 8 positions", "8 neurons"):
        assert words in left.out
    held = ("apothecary-sparse", fitted, "--release", "apothecary-sparse", "-b", "refusal")
    served = fulcra("monitor", "served", *held, "--windows", 3, "--out", tmp_path / "served")
    assert (served.code, served.out.splitlines()[0]) == (
        0,
        "the stream of apothecary-sparse cannot be told from apothecary-sparse",
    )
    both = (tmp_path / "trial", tmp_path / "served")
    assert fulcra("monitor", "table", *both, "--out", tmp_path / "table").code == 0
    table = MonitorTable.load(tmp_path / "table")
    assert (len(table.trials), len(table.served)) == (1, 1)
    again = fulcra("monitor", "table", *both, "--out", tmp_path / "table", "--json")
    assert json.loads(again.out)["trials"][0]["model"]["name"] == "apothecary-sparse"
    page = defence_page(table)
    assert "### apothecary-sparse" in page
    assert "### A served model against its release" in page


def test_the_page_stands_without_a_trial() -> None:
    page = defence_page()
    assert page.startswith("# Defence")
    assert "monitor fit" not in page
