"""A user's oracle: whole words, no cut last word, and only a flip can be correct."""

import pytest

from fulcra.behaviors.oracles_text import LanguageFlip, PatternFlip, WordFlip
from fulcra.types import Prompt

PROMPT = Prompt("p-00", "a story")
PRONOUN = WordFlip(("he", "him"), ("she", "her"), reach=r"he won")


@pytest.mark.parametrize(
    ("text", "ended", "unchanged", "flipped", "correct"),
    [
        ("He saw him, she saw", True, False, True, False),
        ("she gave her a hen; he", True, True, False, False),
        ("he and she", True, False, False, False),
        ("the hero sheds", True, False, False, False),
        ("she's late", True, True, False, False),
        ("then he won", True, False, True, True),
        ("she he her won, and he won", True, False, False, False),
        ("then he", True, False, True, False),
        ("then he", False, False, False, False),
        ("then he,", False, False, True, False),
        ("", True, False, False, False),
    ],
)
def test_the_side_with_more_words_wins(
    text: str, ended: bool, unchanged: bool, flipped: bool, correct: bool
) -> None:
    assert PRONOUN(PROMPT, text, ended)[:3] == (unchanged, flipped, correct)


def test_a_pattern_flips_where_it_occurs() -> None:
    oracle = PatternFlip(r"(?i)\byes\b", reach=r"\d")
    assert oracle(PROMPT, "Yes, 3", True)[:3] == (False, True, True)
    assert oracle(PROMPT, "Yes", True)[:3] == (False, True, False)
    assert oracle(PROMPT, "no, 3", True)[:3] == (True, False, False)


def test_a_language_flips_and_none_detected_is_neither() -> None:
    oracle = LanguageFlip("fr", reach="sel")
    assert oracle(PROMPT, "Il faut ajouter le sel dans la grande marmite et bien remuer.", True)[
        :3
    ] == (False, True, True)
    assert oracle(PROMPT, "You should add the salt to the large pot and stir it well.", True)[
        :3
    ] == (True, False, False)
    assert oracle(PROMPT, "12 34 * 56", True)[:3] == (False, False, False)
