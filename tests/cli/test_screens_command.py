"""`fulcra screens`, `census` and `multiply`: what they print and write, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fulcra import Behavior, Model
from fulcra.protocol.results.census import MeasuredBranch
from tests.cli.conftest import Call
from tests.studies.test_census import write_census


@pytest.fixture
def census(sparse: Model, refusal: Behavior, tmp_path: Path) -> Path:
    """A made-up census in which four branches of 64 are open."""
    branches = []
    for i in range(32):
        for pole in "+-":
            name, opens = f"L{i % 8}.N{i}{pole}", i < 4 and pole == "+"
            gain = 0.5 if opens else None
            row = MeasuredBranch(name, "forecast", "top", 1.0 + i, None, gain, 0.5, 1.0, opens)
            branches.append(row)
    write_census(tmp_path / "census", sparse, refusal, branches, 1.0)
    return tmp_path / "census"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The screens that take no sweep."""
    from fulcra.screens import registry

    monkeypatch.setattr(
        registry,
        "ENTRANTS",
        tuple(
            entrant for entrant in registry.ENTRANTS if entrant.name in ("contrastive", "random")
        ),
    )


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_tournament_writes_its_data_and_its_page(
    fulcra: Call, census: Path, tmp_path: Path
) -> None:
    left = fulcra(
        "screens", "apothecary-sparse", "--census", census, "--out", tmp_path / "out", "--json"
    )
    assert left.code == 0
    assert json.loads(left.out) == json.loads((tmp_path / "out" / "screens.json").read_text())
    assert (
        (tmp_path / "out" / "screens.md").read_text().startswith("# Screens, judged by what opens")
    )
    assert "warning: words alone tell the sets apart" in left.err


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_the_contrast_set_is_warned_of_before_a_screen_runs(
    fulcra: Call, census: Path, tmp_path: Path
) -> None:
    file = tmp_path / "my.py"
    file.write_text(
        "import sys\nfrom fulcra import Neuron, Ranking\n"
        "def mine(model, behavior):\n    print('mine runs', file=sys.stderr)\n"
        "    return Ranking('mine', (Neuron(1, 2, -1),), (1.0,))\n"
    )
    words = ("screens", "apothecary-sparse", "--census", census, "--screen", f"{file}:mine")
    left = fulcra(*words, "--out", tmp_path / "out", "--json")
    assert left.err.index("words alone tell the sets apart") < left.err.index("mine runs")


def test_a_census_of_another_model_is_refused(fulcra: Call, census: Path) -> None:
    line = fulcra("screens", "apothecary-dense", "--census", census).refusal
    assert "it is of another model (apothecary-sparse); measure this one with fulcra census" in line


def test_a_folder_without_census_is_refused(fulcra: Call, tmp_path: Path) -> None:
    assert "census.json" in fulcra("screens", "apothecary-sparse", "--census", tmp_path).refusal


def test_a_missing_screen_file_is_refused_before_the_model_is_loaded(fulcra: Call) -> None:
    assert (
        "found no file 'my.py'"
        in fulcra("screens", "no-such-model", "--screen", "my.py:mine").refusal
    )


def test_the_code_of_a_screen_of_ones_own_runs_and_that_is_told_once(
    fulcra: Call, tmp_path: Path
) -> None:
    file, trace = tmp_path / "my.py", tmp_path / "trace"
    file.write_text(f"open({str(trace)!r}, 'x').close()\ndef mine(model, behavior): ...\n")
    left = fulcra("screens", tmp_path / "no-model", "--screen", f"{file}:mine", "--quiet")
    assert (left.code, trace.exists()) == (2, True)
    assert left.err.count(f"warning: --screen {file}:mine: the code of {file} is run") == 1


def test_a_contrast_of_one_prompt_is_refused(
    fulcra: Call, written: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "behavior.yaml"
    path.write_text(yaml.safe_dump({**written, "positive": written["positive"][:1]}))
    assert (
        "positive holds one prompt, and one prompt has no mean"
        in fulcra("screens", "apothecary-sparse", "-b", path).refusal
    )


@pytest.mark.slow
def test_a_slice_of_a_census_and_a_multiplier_sweep_run_from_the_command_line(
    fulcra: Call, tmp_path: Path
) -> None:
    left = fulcra(
        "census", "apothecary-sparse", "--neurons", 2, "--out", tmp_path / "run", "--json"
    )
    assert (left.code, json.loads(left.out)["branches"]) == (0, 4)
    assert (
        "branches open"
        in fulcra("census", "apothecary-sparse", "--neurons", 2, "--out", tmp_path / "run").out
    )
