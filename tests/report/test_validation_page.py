"""The shipped study: of the shipped split, figures those of its rows, page that of its figures."""

import json

import pytest

from fulcra.backtest.ceiling_scores import ceiling_scores, kl_at_ceiling
from fulcra.backtest.noise import noise_floor
from fulcra.backtest.split import SHIPPED, read_split
from fulcra.backtest.targets import targets
from fulcra.backtest.verdict_scores import baseline_scores, verdict_scores
from fulcra.protocol.results.base import Value
from fulcra.protocol.results.validation import ValidationResult
from fulcra.store import plain
from tests.conftest import ROOT

EVIDENCE = ROOT / "docs" / "evidence" / "validation.json"


@pytest.fixture(scope="module")
def study() -> ValidationResult:
    return ValidationResult.load(EVIDENCE)


@pytest.fixture(scope="module")
def held(study: ValidationResult) -> set[str]:
    return {lineage.name for lineage in study.split.held_out}


def figures(scores: dict[str, Value]) -> dict[str, object]:
    """Figures as the file holds them."""
    return {name: plain(score.plain()) for name, score in scores.items()}


def test_the_shipped_file_is_read_and_written_byte_for_byte(study: ValidationResult) -> None:
    text = json.dumps(study.plain(), indent=1) + "\n"
    assert text.encode() == EVIDENCE.read_bytes()


def test_it_is_the_whole_study_of_the_shipped_split(
    study: ValidationResult, held: set[str]
) -> None:
    assert study.split_sha256 == read_split(SHIPPED).sha256 == study.split.sha256
    assert (study.reduced, study.missing) == (False, ())
    assert len(held) >= 6
    assert sum(row.lineage in held for row in study.rows.ceilings) >= 1000
    assert sum(row.lineage in held for row in study.rows.verdicts) >= 200


def test_the_figures_of_ceilings_are_those_of_the_rows(
    study: ValidationResult, held: set[str]
) -> None:
    rows = [row for row in study.rows.ceilings if row.lineage in held]
    shipped = study.plain()
    assert figures(ceiling_scores(rows, study.settings.seed)) == shipped["ceilings"]["held_out"]
    assert noise_floor(rows).plain() == shipped["noise_floor"]["held_out"]
    for name in held:
        nats = kl_at_ceiling(row for row in rows if row.lineage == name)
        assert nats.plain() == shipped["kl_at_ceiling"][name]


def test_the_figures_of_verdicts_are_those_of_the_rows_whose_protocol_held(
    study: ValidationResult, held: set[str]
) -> None:
    reproduced = {row.name for row in study.protocol if row.reproduced}
    rows = [row for row in study.rows.verdicts if row.lineage in held and row.name in reproduced]
    shipped = study.plain()
    assert figures(verdict_scores(rows, study.settings.seed)) == shipped["verdicts"]["held_out"]
    assert figures(baseline_scores(rows)) == shipped["baselines"]["held_out"]
    assert targets(study) == study.targets


def test_the_page_and_its_plots_are_those_of_the_figures(study: ValidationResult) -> None:
    pages = study.pages()
    assert len(pages) == 3
    for name, text in pages.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text
