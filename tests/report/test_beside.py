"""What other commands measured stands in the page as it is told, and what they did not is named."""

from pathlib import Path
from typing import Any

import pytest

from fulcra.errors import InputError
from fulcra.protocol.results.effects import EffectsResult
from fulcra.protocol.results.extension import ExtensionResult
from fulcra.protocol.results.judging import JudgingResult
from fulcra.protocol.results.screens import ScreensResult
from fulcra.report.beside import NOTHING, Beside, asides, missing
from tests.report.conftest import value
from tests.report.hostile import WORDS, hostile
from tests.report.test_hostile_pages import Page

Audit = dict[str, Any]
SCREENS = Path(__file__).parents[2] / "docs" / "evidence" / "screens.json"


def test_a_page_of_a_run_alone_names_what_was_not_measured(open_audit: Audit) -> None:
    assert asides(NOTHING) == []
    page = value(open_audit).page(NOTHING)
    for _, command in missing(NOTHING):
        assert f"<code>{command}</code>" in page


def test_side_effects_and_judges_stand_in_the_page_and_nothing_of_them_acts(
    open_audit: Audit,
) -> None:
    open_audit["model"]["sha256"] = open_audit["behavior"]["name"] = WORDS
    effects, judging = hostile(EffectsResult, WORDS), hostile(JudgingResult, WORDS)
    page = Page(value(open_audit).page(Beside(effects, judging)))
    assert "Side effects" in page.words
    assert "What other judges say" in page.words
    assert WORDS in page.words
    assert not {tag for tag, _ in page.tags} & {"img", "svg", "iframe", "base", "link"}
    assert "fulcra judge" not in page.words


def test_an_extension_stands_with_its_rule_and_changes_no_verdict(open_audit: Audit) -> None:
    open_audit["model"]["sha256"] = WORDS
    extension = hostile(ExtensionResult, WORDS)
    page = Page(value(open_audit).page(Beside(extension=extension)))
    assert "More prompts" in page.words
    assert "undetermined branches decided by" in page.words
    assert "The verdicts above are those of the run." in page.words


def test_what_was_measured_on_another_model_is_refused(open_audit: Audit) -> None:
    with pytest.raises(InputError, match="give what was measured on the audited model"):
        value(open_audit).page(Beside(screens=ScreensResult.load(SCREENS)))
    with pytest.raises(InputError, match="give the judgements of this run"):
        value(open_audit).page(Beside(judging=hostile(JudgingResult, "other")))


def test_screens_stand_with_their_intervals_and_stability() -> None:
    result = ScreensResult.load(SCREENS)
    [section] = asides(Beside(screens=result))
    assert section.title == "Screens"
    assert len(section.sheets[0].rows) == len(result.screens)
    assert len(missing(Beside(screens=result))) == 2
