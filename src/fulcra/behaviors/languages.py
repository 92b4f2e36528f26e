"""Natural languages by their ISO 639-1 codes; only this file loads lingua."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lingua import LanguageDetector


def language_codes() -> frozenset[str]:
    """The ISO 639-1 codes of the languages that can be detected."""
    from lingua import IsoCode639_1

    names = (name for name in dir(IsoCode639_1) if len(name) == 2 and name.isupper())
    return frozenset(map(str.lower, names))


def detected_language(text: str) -> str | None:
    """The ISO 639-1 code of the text's language; None where the detector cannot tell."""
    language = _detector().detect_language_of(text)
    return None if language is None else language.iso_code_639_1.name.lower()


@cache
def _detector() -> "LanguageDetector":
    """The detector of all languages by trigrams, 65 MB.

    The one of all n-grams takes 900 MB and names a language for digits, too.
    """
    from lingua import LanguageDetectorBuilder

    return LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()
