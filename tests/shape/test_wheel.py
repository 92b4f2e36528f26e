"""What users install: what is in the wheel and the source archive, their size, and that it runs."""

import os
import shutil
import subprocess
import sys
import tarfile
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


#: What is built from, beside the package itself.
FILES = (
    "pyproject.toml MANIFEST.in README.md CHANGELOG.md LICENSE NOTICE CITATION.cff"  # at the root
).split()
PIP_WHEEL = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q")
SDIST = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that git tracks, as far as a build needs them."""
    place = tmp_path_factory.mktemp("source")
    tracked = _output(["git", "ls-files", "-z", "src"], ROOT)
    for name in [*FILES, *filter(None, tracked.split("\0"))]:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place / name)
    return place


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source."""
    return _wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def archive(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive (sdist)."""
    place = tmp_path_factory.mktemp("archive")
    _output([sys.executable, "-c", SDIST, str(place)], source)
    (built,) = place.glob("*.tar.gz")
    return built


def _wheel(source: Path, place: Path) -> Path:
    _output([*PIP_WHEEL, "-w", str(place), str(source)], place)
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
    assert licences >= {"LICENSE", "NOTICE", "LICENSE-plotly.txt", "CITATION.cff"}
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"fulcra"}
    assert wheel.stat().st_size < LARGEST


def test_every_file_that_the_package_tracks_is_in_it(wheel: Path) -> None:
    tracked = _output(["git", "ls-files", "src"], ROOT).split()
    names = set(zipfile.ZipFile(wheel).namelist())
    assert [name for name in tracked if name.removeprefix("src/") not in names] == []


def test_the_source_archive_holds_what_a_build_needs_and_no_tests_or_evidence(
    archive: Path,
) -> None:
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    tracked = _output(["git", "ls-files", "src"], ROOT).split()
    assert [name for name in [*FILES, *tracked] if name not in names] == []
    assert {name.partition("/")[0] for name in names} <= {
        "",
        "src",
        "setup.cfg",
        "PKG-INFO",
        *FILES,
    }
    assert archive.stat().st_size < LARGEST


def test_the_source_archive_builds_the_same_wheel(
    archive: Path, wheel: Path, tmp_path: Path
) -> None:
    again = _wheel(archive, tmp_path)
    assert again.name == wheel.name
    assert _contents(again) == _contents(wheel)


def _contents(wheel: Path) -> dict[str, int]:
    """The checksum of every file of a wheel."""
    return {file.filename: file.CRC for file in zipfile.ZipFile(wheel).infolist()}


def test_it_audits_by_itself(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    where = "import fulcra; print(fulcra.__file__)"
    site = {"PYTHONPATH": str(tmp_path / "site")}
    assert _output([sys.executable, "-c", where], tmp_path, **site).startswith(str(tmp_path))
    run = [sys.executable, "-m", "fulcra.cli", "audit", "apothecary-dense", "--dry-run"]
    assert "about" in _output(run, tmp_path, **site)
