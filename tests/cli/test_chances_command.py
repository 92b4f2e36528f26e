"""`fulcra research chances`: what it prints and writes, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Call


@pytest.fixture
def behavior(written: dict[str, Any], tmp_path: Path) -> Path:
    """A behavior of one selection prompt with its openings, as a file."""
    openings = {"target_openings": ["here is how to"], "control_openings": ["i am sorry"]}
    prompts = [{"prompt": text, **openings} for text in written["selection"]]
    path = tmp_path / "behavior.yaml"
    path.write_text(yaml.safe_dump({**written, "selection": prompts}))
    return path


def test_chances_without_a_census_are_written_and_printed(
    fulcra: Call, behavior: Path, tmp_path: Path
) -> None:
    arguments = ("apothecary-sparse", "-b", behavior, "--others", 2, "--texts", 1)
    left = fulcra("research", "chances", *arguments, "--out", tmp_path / "run", "--json")
    assert left.code == 0, left
    assert json.loads(left.out) == json.loads((tmp_path / "run" / "chances.json").read_text())
    again = fulcra("research", "chances", *arguments, "--out", tmp_path / "run")
    assert "apothecary-sparse: 2 branches, " in again.out
    assert "written to" in again.out


def test_every_model_needs_a_census_of_its_own(fulcra: Call, tmp_path: Path) -> None:
    line = fulcra("research", "chances", "a", "b", "--census", tmp_path).refusal
    assert "--census: 1 folders for 2 models; give one a model, in their order" in line


def test_a_folder_without_census_is_refused(fulcra: Call, tmp_path: Path) -> None:
    out = tmp_path / "run"
    line = fulcra(
        "research", "chances", "apothecary-sparse", "--census", tmp_path, "--out", out
    ).refusal
    assert "no census.json" in line
