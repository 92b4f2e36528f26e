"""The bound on false alarms is exact for every number of clean scores; too few are refused."""

import random

import pytest
from scipy.stats import betabinom

from fulcra.errors import InputError
from fulcra.formulas.conformal import chance_of, conformal_threshold, scores_needed


@pytest.mark.parametrize(
    ("n", "rate"), [(99, 0.01), (199, 0.01), (150, 0.01), (19, 0.05), (40, 0.2)]
)
def test_of_all_orders_of_exchangeable_scores_the_share_above_is_the_bound(
    n: int, rate: float
) -> None:
    scores = random.Random(n).sample(range(10_000), n + 1)
    above = 0
    for i, new in enumerate(scores):
        threshold = conformal_threshold(scores[:i] + scores[i + 1 :], rate)
        above += new > threshold.value
    assert above / (n + 1) == threshold.bound <= rate


def test_99_scores_hold_one_percent_by_their_largest() -> None:
    assert scores_needed(0.01) == 99
    assert conformal_threshold([float(i) for i in range(99)], 0.01) == (98.0, 0.01, 99)


def test_too_few_scores_are_refused() -> None:
    with pytest.raises(InputError, match="98 clean windows, and it takes 99; give more text"):
        conformal_threshold([0.0] * 98, 0.01)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="expected a number between 0 and 1"):
        scores_needed(rate)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="1 of 20 clean scores are not finite"):
        conformal_threshold([0.0] * 19 + [float("nan")], 0.05)


def test_the_chance_of_an_alarm_is_that_of_a_largest_score_among_the_new_ones() -> None:
    # above the largest of 99: the largest of all 99 + m is one of the m
    for windows in (1, 40, 1030, 20_000):
        assert chance_of(0, windows, 0.01, 99) == pytest.approx(1)
        assert chance_of(1, windows, 0.01, 99) == pytest.approx(windows / (99 + windows))


@pytest.mark.parametrize(("n", "above"), [(99, 1), (199, 2), (399, 4), (19, 5)])
def test_the_chance_of_alarms_is_the_beta_binomial_tail(n: int, above: int) -> None:
    law = betabinom(60, above, n + 1 - above)
    for alarms in (1, 2, 5, 20):
        chance = chance_of(alarms, 60, above / (n + 1), n)
        assert chance == pytest.approx(law.pmf(range(alarms, 61)).sum())


def test_over_calibrations_so_many_alarms_come_as_often_as_their_chance() -> None:
    draw, hits, trials = random.Random(7), 0, 4000
    for _ in range(trials):
        threshold = conformal_threshold([draw.random() for _ in range(19)], 0.05)
        hits += sum(draw.random() > threshold.value for _ in range(30)) >= 4
    # a binomial of that bound would have .06
    assert hits / trials == pytest.approx(chance_of(4, 30, 0.05, 19), abs=0.02)
    assert chance_of(4, 30, 0.05, 19) > 0.1
