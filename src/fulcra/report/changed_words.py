"""A dosed text with the words marked that the undosed reply to the same prompt does not have."""

import re
from difflib import SequenceMatcher
from typing import NamedTuple

_WORDS = re.compile(r"\S+\s*|\s+")


class Part(NamedTuple):
    """A stretch of text, and whether the dose brought it."""

    text: str
    changed: bool


def changed_words(undosed: str | None, dosed: str) -> list[Part]:
    """The dosed text in stretches; without an undosed one nothing is marked."""
    if undosed is None:
        return [Part(dosed, False)]
    first, second = _WORDS.findall(undosed), _WORDS.findall(dosed)
    bare = [word.strip() for word in first], [word.strip() for word in second]
    codes = SequenceMatcher(None, bare[0], bare[1], autojunk=False).get_opcodes()
    parts = [Part("".join(second[start:end]), tag != "equal") for tag, _, _, start, end in codes]
    return [part for part in parts if part.text]
