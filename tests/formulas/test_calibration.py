"""Chances against what was observed: losses, bins and errors on cases worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from sklearn.metrics import log_loss as sklearn_log_loss

from fulcra.formulas.calibration import calibration, calibration_error, log_loss, macro_f1

EDGES = (0.0, 0.1, 0.5, 1.0)
RNG = np.random.default_rng(0)


def test_the_log_loss_is_that_of_a_reference() -> None:
    chances, weights = RNG.random(50), RNG.random(50)
    observed = RNG.random(50) < chances
    wanted = sklearn_log_loss(observed, chances, sample_weight=weights)
    assert log_loss(chances, observed, weights) == pytest.approx(wanted)


def test_a_certain_forecast_that_is_wrong_has_a_finite_loss() -> None:
    assert 10 < log_loss(np.array([1.0]), np.array([False]), np.ones(1)) < math.inf


def test_a_case_falls_into_the_bin_that_begins_at_its_chance() -> None:
    chances, observed = np.array([0.0, 0.1, 0.3, 1.0]), np.array([False, True, False, True])
    bins = calibration(chances, observed, np.array([1.0, 3.0, 1.0, 2.0]), EDGES)
    assert [part.n for part in bins] == [1, 2, 1]
    assert bins[1].mean == pytest.approx((3 * 0.1 + 0.3) / 4)
    assert (bins[1].rate, bins[1].weight) == (0.75, 4.0)
    assert (bins[2].mean, bins[2].rate) == (1.0, 1.0)
    error = (4 * abs(bins[1].mean - 0.75)) / 7
    assert calibration_error(bins) == pytest.approx(error)


def test_an_empty_bin_counts_for_nothing() -> None:
    bins = calibration(np.array([0.7]), np.array([True]), np.ones(1), EDGES)
    assert math.isnan(bins[0].rate)
    assert calibration_error(bins) == pytest.approx(0.3)
    assert math.isnan(calibration_error(bins[:2]))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_macro_f1_is_that_of_a_reference(pairs: list[tuple[int, int]]) -> None:
    called, observed = np.array(pairs).T
    weights = np.linspace(1, 2, len(pairs))
    kinds = sorted({*called.tolist(), *observed.tolist()})
    wanted = f1_score(observed, called, labels=kinds, average="macro", sample_weight=weights)
    assert macro_f1(called, observed, weights, 3) == pytest.approx(wanted)
