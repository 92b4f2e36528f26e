"""The page of the papers' figures, and the data of `fulcra replicate`, are what evidence gives."""

from fulcra.store import read_json
from tools.replicate_page import DATA, PAGE, measured_here, page


def test_what_the_command_shows_is_what_the_evidence_says() -> None:
    assert read_json(DATA) == measured_here(), "write it again: make replicate"


def test_the_page_is_the_one_that_the_evidence_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: make replicate"
