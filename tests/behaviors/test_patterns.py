"""A pattern of a user: found as Python's re finds it, and never without end."""

import re

import pytest

from fulcra.behaviors.oracles_own import Rule
from fulcra.behaviors.patterns import compiled, occurs, require_quick
from fulcra.errors import BehaviorError
from fulcra.types import Prompt
from tests.promptly import promptly

SLOW = (
    r"(a|aa)+$",
    r"^(a|a)*$",
    r"(x|xx)+y",
    r"(?:\d|\d\d)+(?!.)$",
    r"(.|..)+Q$",
    r"^(\w|\w\w)+!$",
)
TEXTS = ("I cannot help.", "Yes: 1. boil, 2. pour\nServe!", "non, désolé", "aaaa!", "", "[x] {e}")


@pytest.mark.parametrize(
    "pattern",
    [
        "cannot|désolé",
        r"(?i)\bYES\b",
        r"^\d?.*!$",
        r"(?m)^Serve",
        r"(?=.*boil)(?=.*pour)",
        r"a{2,}",
    ],
)
def test_a_pattern_is_found_where_pythons_own_finds_it(pattern: str) -> None:
    found = [re.search(pattern, text) is not None for text in TEXTS]
    assert [occurs(pattern, text) for text in TEXTS] == found
    require_quick(pattern)


@pytest.mark.parametrize("pattern", SLOW)
def test_a_pattern_without_end_is_refused_in_one_line_and_at_once(pattern: str) -> None:
    with promptly(), pytest.raises(BehaviorError, match=r"took more than 0\.25 s") as fault:
        require_quick(pattern)
    assert len(str(fault.value).splitlines()) == 1


def test_a_completion_that_makes_a_pattern_slow_ends_in_one_line() -> None:
    rule = Rule(r"(b|bb)+c$")
    assert not rule(Prompt("p", "?"), "bbb")
    with pytest.raises(BehaviorError, match="on 80 characters; let no two"):
        rule(Prompt("p", "?"), "b" * 80)


def test_a_pattern_is_compiled_once_and_in_silence() -> None:
    assert compiled("[[a]") is compiled("[[a]")
