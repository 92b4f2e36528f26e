import math

from hypothesis import given
from hypothesis import strategies as st

from fulcra.formulas.degeneracy import distinct_ngram_ratio, surprised_share
from tests.oracles.curves import distinct

TOKENS = st.lists(st.integers(0, 4), max_size=30)


@given(tokens=TOKENS, n=st.integers(1, 5))
def test_the_ratio_equals_a_count(tokens: list[int], n: int) -> None:
    assert distinct_ngram_ratio(tokens, n) == (
        float(distinct(tokens, n)) if len(tokens) >= n else None
    )


@given(tokens=st.lists(st.integers(), min_size=4, unique=True))
def test_text_without_repetition_is_fully_distinct(tokens: list[int]) -> None:
    assert distinct_ngram_ratio(tokens, 4) == 1


@given(length=st.integers(4, 60))
def test_a_loop_of_one_token_has_one_ngram(length: int) -> None:
    assert distinct_ngram_ratio([7] * length, 4) == 1 / (length - 3)


def test_too_short_or_empty_is_unscored_and_not_perfect() -> None:
    assert distinct_ngram_ratio([1, 2, 3], 4) is None
    assert surprised_share([], 4.6) is None


def test_surprise_is_counted_above_the_level_and_where_it_is_not_a_number() -> None:
    assert surprised_share([1.0, 4.6, 4.7, math.inf, math.nan], 4.6) == 3 / 5
    assert surprised_share([1.0, 2.0], 4.6) == 0
