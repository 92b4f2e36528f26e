"""Agreement beyond chance, against hand-worked tables, statsmodels and the laws both coefficients
obey.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

from fulcra.errors import InputError
from fulcra.formulas.agreement import cohen_kappa, krippendorff_alpha

LABELS = st.sampled_from("abc")
PAIRS = st.lists(st.tuples(LABELS, LABELS), min_size=2, max_size=40)
#: Four raters, twelve units, labels missing: the textbook example of Krippendorff, nominal alpha
#: .743.
TEXTBOOK = (
    (1, 1, None, 1),
    (2, 2, 3, 2),
    (3, 3, 3, 3),
    (3, 3, 3, 3),
    (2, 2, 2, 2),
    (1, 2, 3, 4),
    (4, 4, 4, 4),
    (1, 1, 2, 1),
    (2, 2, 2, 2),
    (None, 5, 5, 5),
    (None, None, 1, 1),
    (None, None, 3, None),
)


def test_kappa_of_a_hand_worked_table() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed .7, chance .5 * .6 + .5 * .4 = .5
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_alpha_of_the_textbook_example() -> None:
    assert krippendorff_alpha(TEXTBOOK) == pytest.approx(0.743, abs=5e-4)


def test_alpha_of_a_hand_worked_pair() -> None:
    # aa, ab, bb: observed disagreement 2 / 6, expected 2 * 3 * 3 / 30 = .6
    assert krippendorff_alpha([("a", "a"), ("a", "b"), ("b", "b")]) == pytest.approx(
        1 - (1 / 3) / 0.6
    )


@given(PAIRS)
def test_kappa_is_that_of_statsmodels(pairs: list[tuple[str, str]]) -> None:
    first, second = (list(labels) for labels in zip(*pairs, strict=True))
    table = np.array([[sum(pair == (a, b) for pair in pairs) for b in "abc"] for a in "abc"])
    kappa = cohen_kappa(first, second)
    if math.isnan(kappa):
        assert len({*first, *second}) == 1
    else:
        assert kappa == pytest.approx(cohens_kappa(table, return_results=False))


@given(PAIRS)
def test_alpha_of_complete_labels_is_fleiss_kappa_with_the_small_sample_correction(
    pairs: list[tuple[str, str]],
) -> None:
    alpha = krippendorff_alpha(pairs)
    if math.isnan(alpha):
        assert len({label for pair in pairs for label in pair}) == 1
        return
    counts = np.array([[pair.count(label) for label in "abc"] for pair in pairs])
    n = counts.sum()
    assert alpha == pytest.approx(1 - (n - 1) / n * (1 - fleiss_kappa(counts)))


@given(PAIRS)
def test_neither_depends_on_who_is_first_nor_on_the_order_of_units(
    pairs: list[tuple[str, str]],
) -> None:
    turned = [(b, a) for a, b in reversed(pairs)]
    for left, other in (
        (_kappa(pairs), _kappa(turned)),
        (krippendorff_alpha(pairs), krippendorff_alpha(turned)),
    ):
        assert left == pytest.approx(other, nan_ok=True)


def test_full_agreement_is_one_and_one_label_alone_says_nothing() -> None:
    assert cohen_kappa("abca", "abca") == krippendorff_alpha([("a", "a"), ("b", "b")]) == 1
    assert math.isnan(cohen_kappa("aaa", "aaa"))
    assert math.isnan(cohen_kappa("", ""))
    assert math.isnan(krippendorff_alpha([("a", "a"), ("a", "a")]))
    assert math.isnan(krippendorff_alpha([("a", None), (None, "b")]))


def test_a_unit_with_one_label_changes_nothing() -> None:
    assert krippendorff_alpha([*TEXTBOOK, (None, 2, None, None)]) == krippendorff_alpha(TEXTBOOK)


def test_kappa_wants_a_label_from_both() -> None:
    with pytest.raises(
        InputError, match=r"cohen_kappa\(\) got 2 and 1 labels: expected one a unit"
    ):
        cohen_kappa("ab", "a")


def _kappa(pairs: list[tuple[str, str]]) -> float:
    return cohen_kappa([a for a, _ in pairs], [b for _, b in pairs])
