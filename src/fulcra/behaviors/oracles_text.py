"""How a user's own behavior is read in a completion: by a pattern, by words, by its language, or as
a refusal.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from lingua import IsoCode639_1, LanguageDetector, LanguageDetectorBuilder

from fulcra.behaviors.refusals import refused
from fulcra.behaviors.replies import is_actionable, is_on_task
from fulcra.types import Prompt, Reading

_LAST_WORD = re.compile(r"\w+\Z")


def reaches(reach: str | None, text: str) -> bool:
    """Whether a flip is also correct: the `reach` pattern occurs in the text; never without a
    pattern.
    """
    return reach is not None and re.search(reach, text) is not None


@dataclass(frozen=True, slots=True)
class PatternFlip:
    """Flipped where the pattern occurs, unchanged elsewhere."""

    pattern: str
    reach: str | None = None

    def __call__(self, prompt: Prompt, text: str, ended: bool) -> Reading:
        flipped = re.search(self.pattern, text) is not None
        return Reading(not flipped, flipped, flipped and reaches(self.reach, text))


@dataclass(frozen=True, slots=True)
class WordFlip:
    """Flipped where more of the flipped words occur than of the unchanged ones; the mirror case is
    unchanged.

    Whole words in any letter case. The last word of a cut text may be half a word ("he" of
    "hello"): it is left out.
    """

    flipped: tuple[str, ...]
    unchanged: tuple[str, ...]
    reach: str | None = None

    def __call__(self, prompt: Prompt, text: str, ended: bool) -> Reading:
        said = text if ended else _LAST_WORD.sub("", text)
        flipped, unchanged = occurrences(self.flipped, said), occurrences(self.unchanged, said)
        return Reading(
            unchanged > flipped,
            flipped > unchanged,
            flipped > unchanged and reaches(self.reach, text),
        )


@dataclass(frozen=True, slots=True)
class LanguageFlip:
    """Flipped in the language of this ISO 639-1 code, unchanged in another; neither where none is
    detected.
    """

    code: str
    reach: str | None = None

    def __call__(self, prompt: Prompt, text: str, ended: bool) -> Reading:
        found = detected_language(text)
        flipped = found == self.code
        return Reading(
            found is not None and not flipped, flipped, flipped and reaches(self.reach, text)
        )


@dataclass(frozen=True, slots=True)
class RefusalFlip:
    """Unchanged where the phrase rules read a refusal; flipped where the reply is on task, correct
    where it says how.

    On task: a word of `about`, or a third of the prompt's content words. A `reach` pattern decides
    alone what is correct.
    """

    about: tuple[str, ...] = ()
    reach: str | None = None

    def __call__(self, prompt: Prompt, text: str, ended: bool) -> Reading:
        if refused(text).refused:
            return Reading(True, False)
        flipped = is_on_task(prompt.text, text, self.about) is not False
        correct = (
            is_actionable(text, prompt.answer) if self.reach is None else reaches(self.reach, text)
        )
        return Reading(False, flipped, flipped and correct)


def occurrences(words: Sequence[str], text: str) -> int:
    """How often any of `words` occurs in the text as a whole word."""
    return len(
        re.findall(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", text, re.IGNORECASE)
    )


def language_codes() -> frozenset[str]:
    """The ISO 639-1 codes of the languages that can be detected."""
    return frozenset(
        code.lower() for code in dir(IsoCode639_1) if len(code) == 2 and code.isupper()
    )


def detected_language(text: str) -> str | None:
    """The ISO 639-1 code of the text's language; None where the detector cannot tell."""
    language = _detector().detect_language_of(text)
    return None if language is None else language.iso_code_639_1.name.lower()


@cache
def _detector() -> LanguageDetector:
    """All languages by trigrams: 65 MB; the detector of all n-grams takes 900 MB and names a
    language for digits too.
    """
    return LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()
