"""What stays of a rollout, and the shares of its typed outcomes."""

import pytest

from fulcra.protocol.records import Record, outcome_rates
from fulcra.protocol.redaction import text_hash
from fulcra.types import OUTCOMES


def record(*outcomes: str) -> Record:
    return Record(
        "selection",
        "L1.N2+",
        "add",
        0.5,
        "selection-00",
        (8, 36),
        outcomes,
        9,
        True,
        1.0,
        0.0,
        True,
        "",
        "",
    )


@pytest.mark.parametrize(
    ("outcome", "flipped", "coherent"),
    [
        ("unscored", False, False),
        ("collapse", False, False),
        ("unchanged", False, True),
        ("off_topic", False, True),
        ("flipped", True, True),
        ("flipped_correct", True, True),
    ],
)
def test_a_flip_is_coherent_and_collapse_is_no_flip(
    outcome: str, flipped: bool, coherent: bool
) -> None:
    judged = record("unchanged", outcome)
    assert (judged.flipped(36), judged.coherent(36)) == (flipped, coherent)
    assert not judged.flipped(8)


def test_the_rates_of_all_outcomes_sum_to_one() -> None:
    rates = outcome_rates([record("unchanged", outcome) for outcome in OUTCOMES], 36)
    assert rates == dict.fromkeys(OUTCOMES, 1 / len(OUTCOMES))
    assert sum(outcome_rates([], 36).values()) == 0.0


def test_a_hash_depends_on_its_salt() -> None:
    assert text_hash("a", "word") == text_hash("a", "word") != text_hash("b", "word")
