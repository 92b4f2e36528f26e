"""The whole study of errors on one branch of one model: rows, resumption, refusals."""

from pathlib import Path

import pytest

from fulcra.backtest import ladder_curves
from fulcra.backtest.ladder_errors import ladder_errors
from fulcra.backtest.split import Cabinet
from fulcra.errors import Inconclusive, RunFolderError
from fulcra.protocol.results.ladder_errors import LadderErrors
from fulcra.protocol.results.split import Lineage
from fulcra.protocol.results.validation import CeilingRow, ValidationResult
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
MODEL = "apothecary-sparse"


def of_rows(rows: tuple[CeilingRow, ...], **changes: object) -> ValidationResult:
    """The shipped study with one development lineage of one model, and these ceilings."""
    study = ValidationResult.load(ROOT / "docs" / "evidence" / "validation.json")
    lineage = Lineage(
        name="llama-words", recipe="llama-words", ceilings=(MODEL,), reference="apothecary-helpful"
    )
    split = study.split.model_copy(update={"development": (lineage,)})
    held = study.rows.model_copy(update={"ceilings": rows})
    return study.model_copy(update={"split": split, "rows": held, **changes})


@pytest.fixture(scope="module")
def rows() -> tuple[CeilingRow, ...]:
    """Two measured branches of the last layer, where passes are short."""
    study = ValidationResult.load(ROOT / "docs" / "evidence" / "validation.json")
    return tuple(row for row in study.rows.ceilings if row.model == MODEL)[-2:]


@pytest.fixture(scope="module")
def folder(rows: tuple[CeilingRow, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study, without the lineages that are held out."""
    out = tmp_path_factory.mktemp("ladders") / "run"
    censored = rows[0].model_copy(update={"measured": None})
    ladder_errors(of_rows((rows[0], censored)), out, Cabinet())
    return out


def test_every_branch_has_the_forecasts_of_every_candidate(
    folder: Path, rows: tuple[CeilingRow, ...]
) -> None:
    result = LadderErrors.load(folder)
    (row,), source = result.rows, rows[0]
    assert (row.branch, row.measured, result.censored) == (source.branch, source.measured, 1)
    # the curve of the study crosses where the shipped ladders stopped
    for name, method in {"kl_mean": "kl_ladder", "odd_unscaled": "surprise_ladder"}.items():
        assert row.frozen[name] == pytest.approx(source.predicted[method], rel=2e-2)
    assert set(result.scores) >= {"kl_mean", "odd", "own_odd_8", "hazard_32", "unroll_kl_8"}
    assert result.lineages["llama-words"].branches == 1
    # one lineage sets no level for another
    assert result.nested == ()
    assert all(score.fitted is None for score in result.scores.values())
    page = (folder / "ladder-errors.md").read_text()
    assert "# Why a ceiling ladder errs" in page
    assert (folder / "images" / "ladder-errors.svg").read_text().startswith("<svg")


def test_finished_curves_are_read_back_and_an_interrupted_model_goes_on(
    folder: Path, rows: tuple[CeilingRow, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise AssertionError("rolled out again")

    monkeypatch.setattr(ladder_curves.Statistics, "curves", stopped)
    again = ladder_errors(of_rows(rows[:1]), folder, Cabinet())
    assert again.rows == LadderErrors.load(folder).rows
    with pytest.raises(RunFolderError, match="curves of other branches"):
        ladder_errors(of_rows(rows[1:]), folder, Cabinet())


def test_another_model_than_the_one_measured_is_refused(
    rows: tuple[CeilingRow, ...], tmp_path: Path
) -> None:
    moved = tuple(row.model_copy(update={"budget": 2 * row.budget}) for row in rows)
    with pytest.raises(RunFolderError, match="the study measured another model"):
        ladder_errors(of_rows(moved), tmp_path / "run", Cabinet())


def test_held_out_ceilings_are_not_read(rows: tuple[CeilingRow, ...], tmp_path: Path) -> None:
    other = tuple(row.model_copy(update={"lineage": "qwen3-words"}) for row in rows)
    with pytest.raises(Inconclusive, match="no measured ceiling of a development lineage"):
        ladder_errors(of_rows(other), tmp_path / "run", Cabinet())
