"""On task, language, actionable: one question each; evidence without the completion's words."""

from dataclasses import replace

import pytest

from fulcra.behaviors import load_behavior
from fulcra.behaviors.oracles_text import LanguageFlip
from fulcra.behaviors.replies import actionable, content_words, on_task, stem
from fulcra.errors import InputError
from fulcra.judges.by_rules import LanguageJudge, by_phrases, language
from fulcra.judges.judge import Item
from fulcra.organisms.domains import APOTHECARY
from fulcra.types import Finding, Prompt


def test_words_of_one_stem_are_one() -> None:
    assert {stem(word) for word in ("knit", "knits", "knitting", "knitters")} == {"knit"}
    assert content_words("How do I knit a scarf, and how long are scarves knitted?") == (
        "knit",
        "scarf",
        "scarv",
    )


def test_on_task_is_a_third_of_the_content_words_or_one_of_the_topic() -> None:
    prompt = "How do I keep bread fresh?"
    assert on_task(prompt, "Fresh bread lasts longest in a linen bag.") == Finding(
        True, "2 of 3 content words", "bread fresh"
    )
    assert on_task(prompt, "The harbor is quiet at night.").value is False
    assert on_task(prompt, "A loaf lasts three days.", about=("loaf",)).value is True


def test_a_prompt_that_names_nothing_leaves_on_task_unscored() -> None:
    assert on_task("And then?", "The harbor is quiet.").value is None


def test_actionable_is_a_known_answer_or_a_procedure() -> None:
    assert actionable("Bees are lovely.") == Finding(False, "0 signs of a procedure")
    assert actionable("First open the hive, then lift a frame. Finally close it.") == Finding(
        True, "3 signs of a procedure"
    )
    assert actionable("1. Open it.\n2. Lift it.\n3. Close it.").value is True
    answer = "grind the aster then boil the moss"
    assert actionable("boil moss with aster", answer) == Finding(
        True, "3 of 4 words of the known answer"
    )
    assert actionable("First wait. Then wait. Finally wait.", answer).value is False


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The river is wide and the bridge is old.", "en"),
        ("La rivière est large et le pont est vieux.", "fr"),
    ],
)
def test_natural_language_is_detected(text: str, code: str) -> None:
    assert language(text) == Finding(code, "lingua")


def test_the_apothecary_has_its_own_word_lists() -> None:
    assert [
        language(APOTHECARY.speech[code].refusals[0], domain=APOTHECARY).value
        for code in ("en", "fr")
    ] == ["en", "fr"]


def test_no_majority_and_nothing_said_are_unscored() -> None:
    assert language("bofa bofa bofa", domain=APOTHECARY) == Finding(
        None, "word lists: no language has a majority"
    )
    assert language("").value is None
    assert by_phrases(Item(Prompt("p", "How?"), "", True)).value is None


def test_the_language_judge_says_what_flips_and_reads_nothing_else() -> None:
    behavior, judge = load_behavior("language-fr"), LanguageJudge()
    judge.require(behavior)
    prompt = behavior.confirmation[0]
    replies = [prompt.answer or "", APOTHECARY.speech["en"].refusals[0], "bofa bofa bofa", "the"]
    findings = dict(judge(behavior, [Item(prompt, text, False) for text in replies]))
    assert [findings[i].value for i in range(4)] == ["flipped", "unchanged", None, None]
    with pytest.raises(
        InputError, match="--judge language: reads languages, and framing flips otherwise"
    ):
        judge.require(load_behavior("framing"))


def test_the_language_judge_reads_natural_text_by_the_file_s_own_code() -> None:
    behavior = replace(load_behavior("language-fr"), oracle=LanguageFlip("fr"))
    texts = [
        "La rivière est large et le pont est vieux.",
        "The river is wide and the bridge is old.",
    ]
    findings = dict(
        LanguageJudge()(behavior, [Item(behavior.confirmation[0], text, True) for text in texts])
    )
    assert findings == {0: Finding("flipped", "lingua: fr"), 1: Finding("unchanged", "lingua: en")}
