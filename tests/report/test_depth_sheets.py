"""The depth of a study as tables: a figure with its interval, and what is not decided."""

import pytest

from fulcra.backtest.depth import depth_of
from fulcra.protocol.results.study import StudyResult
from fulcra.report.depth_sheets import depth_sheets
from tests.backtest.planted_cases import case, drawn, forecast, place


@pytest.fixture(scope="module")
def sheets() -> dict[str, str]:
    rows = [
        drawn(place(i, behavior="a"), reason="collapse_first" if i % 2 else "spread")
        for i in range(8)
    ]
    pools = [[forecast(place(i, behavior=b), i, 0.1) for i in range(16)] for b in "ab"]
    depth = depth_of([case(rows, pools[0]), case([], pools[1])], [], 0)
    study = StudyResult.model_construct(depth={"held_out": depth, "none": depth_of([], [], 0)})
    return {name: "\n".join(lines) for name, lines in depth_sheets(study).items()}


def test_shares_stand_in_percent_beside_their_reason(sheets: dict[str, str]) -> None:
    head, _, row = sheets["reasons"].split("\n")
    assert "collapse first" in head
    assert "50% (" in row
    assert "100%" in sheets["tests"]


def test_every_unit_is_told_beside_the_own_ceiling(sheets: dict[str, str]) -> None:
    lines = sheets["units"].split("\n")[2:]
    assert len(lines) == 5
    assert "its own ceiling" in lines[0]
    assert all("held_out" in line for line in lines)


def test_what_too_few_pairs_leave_open_is_undecided(sheets: dict[str, str]) -> None:
    assert "undecided" in sheets["behaviors"]
    assert "n = 16" in sheets["behaviors"]
    assert "none" in sheets["poles"]
    assert "none" not in sheets["reasons"]
