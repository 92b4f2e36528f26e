"""Errors of edges against planted ones: a known shift is found, censored edges are counted
apart.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr

from fulcra.formulas.edge_error import alignment_errors, edge_error
from fulcra.formulas.saturation import alignment_of_gain

NAN = math.nan


@given(st.floats(-2, 2), st.integers(0, 1000))
def test_a_planted_shift_is_the_bias_and_leaves_the_correlation_whole(
    octaves: float, seed: int
) -> None:
    measured = np.exp(np.random.default_rng(seed).normal(size=40))
    errors = edge_error(
        measured * 2**octaves, measured, np.full(40, 1e9), [i % 4 for i in range(40)], [True] * 40
    )
    assert errors.bias_log2 == pytest.approx(octaves, abs=1e-9)
    assert errors.mae_log2 == pytest.approx(abs(octaves), abs=1e-9)
    assert (errors.correlation, errors.within_layer_correlation) == pytest.approx((1, 1))
    assert (errors.n, errors.censored) == (40, 0)
    assert math.isnan(errors.inequality)


def test_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    first, second = np.exp(rng.normal(size=(2, 50)))
    layers = np.arange(50) % 5
    errors = edge_error(first, second, np.full(50, 99.0), layers.tolist(), layers > 0)
    assert errors.correlation == pytest.approx(pearsonr(np.log(first), np.log(second))[0])
    around = [
        np.log(gains) - np.array([np.log(gains)[layers == layer].mean() for layer in layers])
        for gains in (first, second)
    ]
    assert errors.within_layer_correlation == pytest.approx(pearsonr(*around)[0])
    expected = [
        abs(alignment_of_gain(a) - alignment_of_gain(b)) for a, b in zip(first, second, strict=True)
    ]
    assert errors.mae == pytest.approx(np.mean(expected))
    assert errors.mae_bulk == pytest.approx(np.mean(np.array(expected)[layers > 0]))
    assert alignment_errors(first, second) == pytest.approx(expected)


def test_censored_edges_stay_out_of_the_mae_and_are_scored_as_inequalities() -> None:
    predicted = [1.0, NAN, NAN, 6.0, 1.0]
    measured = [2.0, NAN, 1.0, NAN, NAN]
    errors = edge_error(predicted, measured, [5.0] * 5, list("aaabb"), [True] * 5)
    assert (errors.n, errors.censored) == (1, 4)
    assert errors.mae_log2 == pytest.approx(1)
    assert (
        errors.inequality == 0.5
    )  # both beyond; a known edge called beyond; called at or beyond the last rung; an early call


def test_of_nothing_nothing_is_known() -> None:
    errors = edge_error([NAN], [1.0], [5.0], ["a"], [True])
    assert (errors.n, errors.censored) == (0, 1)
    assert math.isnan(errors.mae)
    assert math.isnan(errors.correlation)
