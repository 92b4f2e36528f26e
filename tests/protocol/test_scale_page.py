"""The page on many accelerators says what its sources give now."""

import pytest

from tools.scale_page import PAGE, page


@pytest.mark.slow
def test_the_page_is_as_it_would_be_written_now() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make scale`"
