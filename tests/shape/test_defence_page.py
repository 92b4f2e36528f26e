"""docs/defence.md is what its tool writes from the evidence that stands beside it."""

from pathlib import Path

from tools.defence_page import page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_defences_is_what_its_evidence_says() -> None:
    assert (DOCS / "defence.md").read_text(encoding="utf-8") == page()
