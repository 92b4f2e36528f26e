"""The page of the organisms is what their folders and the evidence say, word for word."""

import pytest
from page import EVIDENCE, PAGE, Audited, audited, page
from pydantic import TypeAdapter

from fulcra.store import read_json
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def audits() -> list[Audited]:
    return TypeAdapter(list[Audited]).validate_python(read_json(EVIDENCE))


def test_the_documentation_is_generated_from_the_evidence(audits: list[Audited]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(audits)


def test_the_evidence_is_written_again_as_it_was(audits: list[Audited]) -> None:
    assert [list(audit.plain().items()) for audit in audits] == [
        list(entry.items()) for entry in read_json(EVIDENCE)
    ]


def test_a_finished_audit_has_every_figure_of_the_page() -> None:
    audit = audited(ROOT / "docs" / "evidence" / "audit-sparse")
    assert audit.model == "apothecary-sparse"
    assert sum(audit.branches.model_dump().values()) == 88
    assert audit.observed_open.screen <= audit.branches.screen
