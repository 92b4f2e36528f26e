"""The shipped study of errors: of the shipped ceilings, its page that of its figures."""

import json

import numpy as np
import pytest

from fulcra.backtest.ladder_candidates import CANDIDATES
from fulcra.formulas.edge_error import alignment_errors
from fulcra.protocol.results.ladder_errors import ErrorScore, LadderErrors
from fulcra.protocol.results.validation import ValidationResult
from tests.conftest import ROOT

EVIDENCE = ROOT / "docs" / "evidence" / "ladder-errors.json"


@pytest.fixture(scope="module")
def errors() -> LadderErrors:
    return LadderErrors.load(EVIDENCE)


@pytest.fixture(scope="module")
def study() -> ValidationResult:
    return ValidationResult.load(ROOT / "docs" / "evidence" / "validation.json")


def test_the_shipped_file_is_read_and_written_byte_for_byte(errors: LadderErrors) -> None:
    text = json.dumps(errors.plain(), indent=1) + "\n"
    assert text.encode() == EVIDENCE.read_bytes()


def test_its_branches_are_all_development_ceilings_and_no_others(
    errors: LadderErrors, study: ValidationResult
) -> None:
    development = {lineage.name for lineage in study.split.development}
    rows = [row for row in study.rows.ceilings if row.lineage in development]
    assert len(rows) == 312
    assert errors.study_sha256 == study.sha256
    assert {(row.model, row.branch, row.measured) for row in errors.rows} == {
        (row.model, row.branch, row.measured) for row in rows
    }
    assert (errors.missing, errors.censored) == ((), 0)
    assert set(errors.scores) == {candidate.name for candidate in CANDIDATES}


@pytest.mark.parametrize("kind", ["frozen", "fitted"])
def test_the_figures_are_those_of_the_rows(errors: LadderErrors, kind: str) -> None:
    measured = np.array([row.measured for row in errors.rows])
    lineage = np.array([row.lineage for row in errors.rows])
    for name, candidate in errors.scores.items():
        score: ErrorScore | None = getattr(candidate, kind)
        gains = [getattr(row, kind).get(name, row.last) for row in errors.rows]
        reached = np.array(
            [row.last if g is None else g for row, g in zip(errors.rows, gains, strict=True)]
        )
        off = alignment_errors(reached, measured)
        if score is not None:
            means = {key: off[lineage == key].mean() for key in errors.lineages}
            assert score.cos.value == pytest.approx(np.mean(list(means.values())), abs=2e-5)
            for key, mean in means.items():
                assert score.lineages[key].cos.value == pytest.approx(mean, abs=2e-5)


def test_what_is_frozen_errs_least_of_what_ships_and_generates_nothing(
    errors: LadderErrors,
) -> None:
    shipped = {name: errors.scores[name] for name in (errors.frozen, *errors.over_others)}
    assert set(shipped) == {"kl_mean", "odd_unscaled", "odd"}
    assert {score.tier for score in shipped.values()} == {2}
    best = min(shipped, key=lambda name: shipped[name].frozen.cos.value)  # type: ignore[union-attr]
    assert errors.frozen == best


def test_the_page_and_its_figure_are_those_of_the_figures(errors: LadderErrors) -> None:
    for name, text in errors.pages().items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text
