"""`--out` is looked at before the work: a result is never lost for want of a place."""

from pathlib import Path

import pytest

from tests.cli.conftest import Call

#: A model whose loading would be refused in another line.
MODEL = ("apothecary-sparse", "--dtype", "float8")
COMMANDS = [
    ("behavior", "table", *MODEL),
    ("card", *MODEL, "L2.N307"),
    ("compare", "apothecary-base", *MODEL),
    ("detect", *MODEL, "L2.N307"),
    ("exemplars", *MODEL, "L2.N307", "--text", __file__),
    ("harden", *MODEL),
    ("monitor", "fit", *MODEL),
    ("recipe", "no-run", "--branch", "L1.N83-"),
    ("research", "ceilings", *MODEL),
    ("research", "census", *MODEL),
    ("research", "chances", *MODEL),
    ("research", "contexts", *MODEL),
    ("research", "interventions", "no-run"),
    ("research", "multiply", *MODEL),
    ("research", "screens", *MODEL),
    ("research", "validate", "--reduced"),
    ("window", *MODEL, "L2.N307+"),
    ("window", *MODEL, "L2.N307+", "--predict-only"),
]
#: Commands whose result is one file.
FILES = [
    ("export", *MODEL, "--recipe", "no-recipe"),
    ("report", "no-run", "--as", "sarif"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_place_that_cannot_be_written_is_refused_before_a_model_is_loaded(
    fulcra: Call, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("mine")
    place = tmp_path / "file" / "run"
    line = fulcra(*command, "--out", place).err.splitlines()[-1]
    assert line == (
        f"fulcra: writing {place}: Not a directory; nothing was left under that name, free space"
        " or choose another --out"
    )
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", FILES, ids=" ".join)
def test_a_file_that_cannot_be_written_is_refused_before_its_source_is_read(
    fulcra: Call, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("mine")
    line = fulcra(*command, "--out", tmp_path / "file" / "result").refusal
    assert line == (
        f"fulcra: --out {tmp_path / 'file'}: found a file, expected a folder; choose another"
    )
