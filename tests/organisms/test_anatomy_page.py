"""The anatomy page is what its evidence says, word for word."""

import json

import pytest
from anatomy_page import anatomy_page
from knowledge_page import knowledge_figure
from knowledge_result import Knowledge

from fulcra.protocol.results.comparison import ComparisonResult
from fulcra.report.sheet import Sheet
from fulcra.store import read_json
from tests.conftest import ROOT

EVIDENCE = ROOT / "docs" / "evidence" / "anatomy.json"


@pytest.mark.parametrize("name", ["anatomy.md", "images/gate-and-knowledge.svg"])
def test_the_documentation_is_generated_from_the_evidence(name: str) -> None:
    evidence = read_json(EVIDENCE)
    knowledge = Knowledge.model_validate(evidence["knowledge"])
    page = anatomy_page(ComparisonResult.of(evidence["comparison"]), knowledge)
    expected = page if name.endswith(".md") else knowledge_figure(knowledge)
    assert (ROOT / "docs" / name).read_text() == expected


def test_the_evidence_is_read_whole_and_written_again_as_it_was() -> None:
    evidence = read_json(EVIDENCE)["knowledge"]
    written = Knowledge.model_validate(evidence).plain()
    assert json.dumps(written) == json.dumps(evidence)


def test_a_bar_in_a_cell_is_no_new_cell() -> None:
    assert Sheet(("a",), [["|v|"]]).markdown() == ["| a |", "| --- |", "| \\|v\\| |"]
