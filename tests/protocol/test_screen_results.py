"""Censuses, tournaments and multiplied sets that are shipped can be read, and written again."""

import json
from pathlib import Path

import pytest

from fulcra.errors import RunFolderError
from fulcra.protocol.results.base import Result
from fulcra.protocol.results.census import CensusResult
from fulcra.protocol.results.multiply import MultiplyResult
from fulcra.protocol.results.screens import ScreensResult

EVIDENCE = Path("docs/evidence")
SHIPPED = [
    (CensusResult, "census-sparse/census.json"),
    (CensusResult, "census-dense/census.json"),
    (ScreensResult, "screens.json"),
    (ScreensResult, "screens-dense.json"),
    (ScreensResult, "screens-qwen3.json"),
    (MultiplyResult, "multiply-sparse.json"),
    (MultiplyResult, "multiply-dense.json"),
]


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_a_shipped_result_is_written_again_byte_for_byte(kind: type[Result], name: str) -> None:
    result = kind.load(EVIDENCE / name)
    assert json.dumps(result.plain(), indent=1) + "\n" == (EVIDENCE / name).read_text()
    assert 0 < len(result.lines()) <= 5
    assert all(len(line) <= 100 for line in result.lines())


def test_a_census_counts_what_a_tournament_on_it_tells() -> None:
    census = CensusResult.load(EVIDENCE / "census-sparse")
    assert census.counts == ScreensResult.load(EVIDENCE / "screens.json").truth_summary


def test_a_file_of_another_kind_is_refused() -> None:
    with pytest.raises(RunFolderError, match=r"screens.json: .*; expected a saved result"):
        CensusResult.load(EVIDENCE / "screens.json")
