"""The page of the real chat model says what stands in its evidence, and nothing else."""

from tools.real_page.__main__ import PAGE, page


def test_the_page_is_the_one_that_the_evidence_gives() -> None:
    assert PAGE.read_text() == page(), "write it again: python -m tools.real_page"
