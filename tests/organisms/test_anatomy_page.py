"""The anatomy page is what its evidence says, word for word."""

import pytest
from anatomy_page import anatomy_page
from knowledge_page import knowledge_figure

from fulcra.report.markdown import markdown_table
from fulcra.store import read_json
from tests.conftest import ROOT

EVIDENCE = ROOT / "docs" / "evidence" / "anatomy.json"


@pytest.mark.parametrize("name", ["anatomy.md", "images/gate-and-knowledge.svg"])
def test_the_documentation_is_generated_from_the_evidence(name: str) -> None:
    evidence = read_json(EVIDENCE)
    expected = (
        anatomy_page(evidence) if name.endswith(".md") else knowledge_figure(evidence["knowledge"])
    )
    assert (ROOT / "docs" / name).read_text() == expected


def test_a_bar_in_a_cell_is_no_new_cell() -> None:
    assert markdown_table(["a"], [["|v|"]]) == ["| a |", "| --- |", "| \\|v\\| |"]
