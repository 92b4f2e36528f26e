"""`fulcra research ladders` refuses in one line, before any model is loaded."""

from pathlib import Path

from fulcra.protocol.results.validation import ValidationResult
from tests.cli.conftest import Call
from tests.conftest import ROOT

STUDY = ROOT / "docs" / "evidence" / "validation.json"


def test_a_folder_without_a_study_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    line = fulcra("research", "ladders", tmp_path).refusal
    assert "no validation.json; expected the folder of a finished `fulcra validation`" in line


def test_a_study_without_development_lineages_concludes_nothing(
    fulcra: Call, tmp_path: Path
) -> None:
    study = ValidationResult.load(STUDY)
    split = study.split.model_copy(update={"development": ()})
    study.model_copy(update={"split": split}).write(tmp_path)
    left = fulcra("research", "ladders", tmp_path, "--out", tmp_path / "run")
    assert left.code == 3
    assert "no measured ceiling of a development lineage" in left.line
    assert not (tmp_path / "run").exists()
