"""What a study's page says of the questions beneath the law, and of what stands beside it."""

import pytest

from fulcra.backtest.depth import depth_of
from fulcra.protocol.results.bounded import Bounded
from fulcra.protocol.results.study import StudyResult
from fulcra.report.beside_sheets import beside_sheets
from fulcra.report.depth_answers import above, answers, answers_sheet
from tests.backtest.planted_cases import case, drawn, place
from tests.backtest.test_registered_beside import figures


@pytest.mark.parametrize(
    ("low", "bound", "answer"),
    [(0.6, 0.5, "yes"), (0.5, 0.5, "no"), (0.6, 1.0, "the opposite"), (None, 0.5, "undecided")],
)
def test_an_interval_decides_only_beside_its_bound(
    low: float | None, bound: float, answer: str
) -> None:
    assert above(Bounded(value=0.7, low=low, high=low and 0.9), bound) == answer


def test_every_question_has_its_answer() -> None:
    rows = [
        drawn(place(i, model=m), reason="collapse_first", replies=(1.0, 0.0))
        for m in "mn"
        for i in range(4)
    ]
    found = dict(answers(depth_of([case(rows)], [], 0)))
    assert len(found) == 12
    past = "collapse_first: past the ceiling over half of their replies have collapsed"
    assert found[past] == "yes"
    assert found["too_late: deeper than other closed branches of the case"] == "undecided"
    sheet = answers_sheet(depth_of([], [], 0))
    assert {row[1] for row in sheet.rows} == {"undecided"}


def test_what_stands_beside_a_design_has_a_row_a_group() -> None:
    study = StudyResult.model_construct(beside=figures((0, 1)))
    tables = {name: "\n".join(lines) for name, lines in beside_sheets(study).items()}
    assert all("held_out" in table for table in tables.values())
    assert "**chances**" in tables["learned"]
    assert "1.9" in tables["guards"]
    assert tables["tops"].count("\n") == 4
