"""Patterns that a user gives, searched for within a limit of time."""

import warnings
from functools import cache

import regex

from fulcra.errors import BehaviorError

#: The longest search for a pattern in one text [seconds]; a sound one takes microseconds.
SECONDS = 0.25
#: How often each character is repeated in the texts that a pattern is tried on, and how many are.
REPEATED, TRIED = 64, 16


def occurs(pattern: str, text: str) -> bool:
    """Whether the pattern occurs in a text; BehaviorError where that cannot be told in time."""
    try:
        return compiled(pattern).search(text, timeout=SECONDS) is not None
    except TimeoutError:
        raise BehaviorError(
            f"the pattern {pattern[:60]!r} took more than {SECONDS:g} s on {len(text):,}"
            " characters; let no two of its repetitions match the same words, as in (a+)+"
        ) from None


def require_quick(pattern: str) -> None:
    """BehaviorError where the pattern is slow on one of its own characters, over and over.

    Most patterns that backtrack without end show it there, before anything is rolled out.
    """
    characters = dict.fromkeys(c for c in pattern + "a 0" if c.isalnum() or c == " ")
    for character in list(characters)[-TRIED:]:
        occurs(pattern, character * REPEATED + "\n!")


@cache
def compiled(pattern: str) -> "regex.Pattern[str]":
    """The pattern as `regex` reads it, which reads those of Python's `re`; regex.error if none."""
    with warnings.catch_warnings(action="ignore"):
        return regex.compile(pattern)
