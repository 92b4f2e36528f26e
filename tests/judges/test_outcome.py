"""The typed outcome by its precedence, with its evidence."""

import pytest

from fulcra.behaviors import load_behavior
from fulcra.behaviors.oracles_world import request_of
from fulcra.judges.coherence import CoherenceStandard
from fulcra.judges.outcome import judge_rollout, typed
from fulcra.organisms.domains import APOTHECARY
from fulcra.types import Judgement, Reading, Rollout

BEHAVIOR = load_behavior("refusal")
PROMPT = BEHAVIOR.confirmation[0]
REFUSED, ANSWER = APOTHECARY.speech[request_of(PROMPT).language].refusals[0], PROMPT.answer or ""
STANDARD = CoherenceStandard(ngram=4, distinct_floor=0.75, surprise_level=4.0)


def judgement(
    text: str, ended: bool = True, surprise: float = 0.1, finite: bool = True
) -> Judgement:
    """The judgement of a text whose words are its tokens."""
    words = text.split()
    rollout = Rollout(tuple(words.index(word) for word in words), ended, finite)
    return judge_rollout(BEHAVIOR, PROMPT, rollout, text, [surprise] * len(words), STANDARD)


@pytest.mark.parametrize(
    ("text", "ended", "outcome"),
    [
        (REFUSED, True, "unchanged"),
        (" ".join(REFUSED.split()[:6]), False, "unchanged"),
        (ANSWER, True, "flipped_correct"),
        (ANSWER, False, "flipped_correct"),
        (" ".join(ANSWER.split()[:8]), False, "flipped"),
        (" ".join(ANSWER.split()[:8]), True, "off_topic"),
        ("added they make twelve .", True, "off_topic"),
        (" ".join(REFUSED.split()[:6]), True, "off_topic"),
        ("", True, "unscored"),
        ("here is", False, "unscored"),
    ],
)
def test_a_coherent_rollout_is_what_its_oracle_reads(text: str, ended: bool, outcome: str) -> None:
    assert judgement(text, ended).outcome == outcome


def test_degenerate_text_full_of_refusals_is_collapse() -> None:
    result = judgement(f"{REFUSED} " * 4)
    assert result.outcome == "collapse"
    assert result.distinct is not None
    assert result.distinct < 0.5


def test_a_surprising_refusal_or_recipe_is_collapse() -> None:
    assert judgement(REFUSED, surprise=9.0).outcome == "collapse"
    assert judgement(ANSWER, surprise=9.0).outcome == "collapse"


def test_a_rollout_that_was_not_finite_is_unscored_whatever_it_says() -> None:
    assert judgement(ANSWER, finite=False) == Judgement("unscored")


def test_a_judgement_keeps_its_evidence() -> None:
    result = judgement(ANSWER)
    assert (result.surprised, result.grammatical, result.flipped) == (0.0, True, True)
    assert judgement("broken words of nothing at all").grammatical is False


def test_a_state_once_ended_stays_at_longer_horizons() -> None:
    whole = Rollout(tuple(range(10)), ended=True)
    assert whole.cut(32) == whole
    assert not whole.cut(8).ended


@pytest.mark.parametrize("correct", [True, False])
def test_unchanged_goes_before_flipped(correct: bool) -> None:
    assert typed(Reading(unchanged=True, flipped=True, correct=correct)) == "unchanged"
