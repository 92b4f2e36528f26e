"""The wheel that users install: what is in it, how large it is, and that it runs by itself."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

LARGEST = 40e6
#: What the code reads beside itself; without one of these a command fails far from here.
DATA = (
    "fulcra/py.typed",
    "fulcra/backtest/split.yaml",
    "fulcra/organisms/weights/apothecary-sparse/model.safetensors",
    "fulcra/release/policies/release.yaml",
    "fulcra/report/vendor/LICENSE-plotly.txt",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the files that git tracks."""
    place = tmp_path_factory.mktemp("wheel")
    names = _output(["git", "ls-files", "-z", "src", "LICENSE", "NOTICE", "README.md"], ROOT)
    for name in ["pyproject.toml", *filter(None, names.split("\0"))]:
        (place / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place / "source" / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    _output([*pip, "-w", str(place), "."], place / "source")
    (built,) = place.glob("*.whl")
    return built


def _output(command: list[str], where: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=where,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_its_data_types_and_licences_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in DATA if name not in names] == []
    licences = {Path(name).name for name in names if ".dist-info/licenses/" in name}
    assert licences >= {"LICENSE", "NOTICE", "LICENSE-plotly.txt"}
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"fulcra"}
    assert wheel.stat().st_size < LARGEST


def test_every_file_that_the_package_tracks_is_in_it(wheel: Path) -> None:
    tracked = _output(["git", "ls-files", "src"], ROOT).split()
    names = set(zipfile.ZipFile(wheel).namelist())
    assert [name for name in tracked if name.removeprefix("src/") not in names] == []


def test_it_audits_by_itself(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    where = "import fulcra; print(fulcra.__file__)"
    site = {"PYTHONPATH": str(tmp_path / "site")}
    assert _output([sys.executable, "-c", where], tmp_path, **site).startswith(str(tmp_path))
    run = [sys.executable, "-m", "fulcra.cli", "audit", "apothecary-dense", "--dry-run"]
    assert "about" in _output(run, tmp_path, **site)
