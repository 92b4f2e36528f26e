"""A torch or transformers that is too old is refused in one line, before it is imported."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from fulcra.errors import ModelError
from fulcra.models import installed
from tests.conftest import ROOT


def older(folder: Path, name: str, release: str) -> Path:
    """A folder that says, as an installer would, that a release of a library is installed."""
    place = folder / f"{name}-{release}.dist-info"
    place.mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n"
    (place / "METADATA").write_text(text, encoding="utf-8")
    return folder


def test_the_bounds_are_those_that_pip_holds_to() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {wish.name: str(wish.specifier) for wish in map(Requirement, project["dependencies"])}
    bounds = {name: f">={oldest}" for name, oldest in installed.OLDEST.items()}
    assert {name: asked[name] for name in bounds} == bounds


def test_what_is_installed_here_is_new_enough() -> None:
    installed.require_installed()


@pytest.mark.parametrize(
    ("name", "release"),
    [("transformers", "5.18.0"), ("transformers", "4.57.6"), ("torch", "2.5.1")],
)
def test_a_release_that_is_too_old_is_refused(
    name: str, release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(older(tmp_path, name, release))
    assert version(name) == release
    refusal = rf"{name} {release} is installed, and fulcra needs .* pip install '{name}>="
    with pytest.raises(ModelError, match=refusal):
        installed.require_installed()


def test_the_command_line_says_it_in_one_line_before_any_import(tmp_path: Path) -> None:
    path = os.pathsep.join([str(older(tmp_path, "transformers", "5.0.0")), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "fulcra.cli", "check", "apothecary-sparse"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("fulcra: transformers 5.0.0 is installed, and fulcra needs 5.19")
    assert done.stderr.count("\n") == 1
