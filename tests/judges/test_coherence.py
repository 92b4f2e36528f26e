"""Coherence: repetition and surprise each cost it; what cannot be scored is unscored."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulcra.errors import InputError
from fulcra.judges.coherence import CoherenceStandard, coherence_standard, coherent

STANDARD = CoherenceStandard(ngram=4, distinct_floor=0.75, surprise_level=4.0)
FRESH, LOOP = list(range(20)), [1, 2] * 10


@pytest.mark.parametrize(
    ("tokens", "surprise", "ended", "expected"),
    [
        (FRESH, [0.1] * 20, False, True),
        (LOOP, [0.1] * 20, False, False),
        (FRESH, [9.0] * 6 + [0.1] * 14, False, True),
        (FRESH, [9.0] * 7 + [0.1] * 13, False, False),
        (FRESH, [math.nan] * 7 + [0.1] * 13, False, False),
        (FRESH, [4.0] * 20, False, True),
        ([], [], True, None),
        ([], [], False, None),
        ([1, 2, 3], [0.1] * 3, False, None),
        ([1, 2, 3], [0.1] * 3, True, True),
        ([1, 1, 1], [9.0, 9.0, 0.1], True, False),
        ([1, 2], [9.0, 0.1], True, False),
        ([1, 2], [9.0, 9.0], True, False),
        ([1], [9.0], True, False),
        ([1], [0.1], True, True),
    ],
)
def test_repetition_and_surprise_cost_coherence(
    tokens: list[int], surprise: list[float], ended: bool, expected: bool | None
) -> None:
    assert coherent(tokens, surprise, STANDARD, ended).coherent is expected


def test_the_evidence_is_kept() -> None:
    coherence = coherent(LOOP, [9.0] * 5 + [0.1] * 15, STANDARD)
    assert coherence.distinct == pytest.approx(2 / 17)
    assert coherence.surprised == 0.25


def test_tokens_and_surprises_must_be_of_one_rollout() -> None:
    with pytest.raises(
        InputError,
        match=r"coherent\(\) got 2 tokens and 3 surprises: expected one a token, cut both alike",
    ):
        coherent([1, 2], [0.1] * 3, STANDARD)


def test_the_standard_follows_the_clean_rollouts() -> None:
    standard = coherence_standard([FRESH, LOOP], [[0.5] * 20] * 2, vocab=344)
    assert standard.ngram == 4
    assert standard.distinct_floor == pytest.approx(0.75 * (1 + 2 / 17) / 2)
    assert standard.surprise_level == pytest.approx(1.5)
    assert standard.surprised_share == 0.30


def test_a_tiny_vocabulary_is_read_in_longer_grams() -> None:
    assert coherence_standard([FRESH], [[0.5] * 20], vocab=105).ngram == 8


def test_the_level_never_passes_that_of_a_uniform_guess() -> None:
    assert coherence_standard([FRESH], [[9.0] * 20], vocab=344).surprise_level == 4.6


def test_clean_rollouts_too_short_for_a_gram_repeat_nothing() -> None:
    assert coherence_standard([[1, 2]], [[0.5, 0.5]], vocab=344).distinct_floor == 0.75


def test_no_clean_token_is_no_standard() -> None:
    with pytest.raises(
        InputError, match="2 clean rollouts without one token; give prompts the model continues"
    ):
        coherence_standard([[], []], [[], []], vocab=344)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 12)), min_size=8, max_size=40))
def test_a_clean_rollout_without_loops_meets_its_own_standard(
    clean: list[tuple[int, float]],
) -> None:
    tokens, surprise = (
        [i * 10 + token for i, (token, _) in enumerate(clean)],
        [min(value, 3.0) for _, value in clean],
    )
    assert coherent(tokens, surprise, coherence_standard([tokens], [surprise], vocab=344)).coherent
