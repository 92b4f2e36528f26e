"""docs/reliability.md says what was seen, of no machine by name, and that nothing was lost."""

import re

from tests.chaos.page import PAGE, SEEN, Seen, written


def test_the_page_is_the_one_that_was_seen() -> None:
    assert PAGE.read_text() == written()


def test_nothing_that_was_finished_was_lost_and_nobody_saw_a_traceback() -> None:
    met = Seen.model_validate_json(SEEN.read_text())
    assert met.kills.faults == []
    assert [each for each in met.faults if each.lost or "Traceback" in each.line] == []


def test_the_page_names_no_machine() -> None:
    assert not re.search(r"/(tmp|home|root|work|usr)/|process \d", PAGE.read_text())
