import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from scipy.stats import beta

from fulcra.formulas.geometry import (
    centred,
    chance_of_cosine,
    column_cosines,
    expected_max_cosine,
    participation_ratio,
)
from tests.oracles.curves import angle_cosine, effective_dimensions


def largest_cosines(d_model: int, count: int, draws: int) -> np.ndarray:
    columns = np.random.default_rng(0).normal(size=(draws, count, d_model))
    return np.abs(columns[..., 0] / np.linalg.norm(columns, axis=-1)).max(-1)


def test_column_cosines_equal_those_taken_one_by_one() -> None:
    weights = torch.randn(16, 5, generator=torch.Generator().manual_seed(0))
    direction = torch.randn(16, generator=torch.Generator().manual_seed(1))
    assert column_cosines(weights, direction).tolist() == pytest.approx(
        [angle_cosine(column, direction) for column in weights.T], abs=1e-6
    )


def test_a_zero_column_has_no_alignment() -> None:
    assert column_cosines(torch.zeros(4, 2), torch.ones(4)).tolist() == [0, 0]


@given(seed=st.integers(0, 100))
def test_a_layer_norm_reads_a_stream_and_its_centred_twin_alike(seed: int) -> None:
    stream = torch.randn(3, 16, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(
        torch.layer_norm(stream, (16,)), torch.layer_norm(centred(stream), (16,)), atol=1e-5
    )
    assert torch.allclose(centred(stream).sum(-1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(centred(centred(stream)), centred(stream), atol=1e-6)


@given(d_model=st.integers(3, 4096), alignment=st.floats(0.001, 1))
def test_the_bound_is_above_the_exact_chance(d_model: int, alignment: float) -> None:
    exact = beta(0.5, (d_model - 1) / 2).sf(alignment**2)
    assert chance_of_cosine(alignment, d_model, 1) >= exact * (1 - 1e-9)


@pytest.mark.parametrize("alignment", [0.6, 0.7, 0.8])
def test_the_bound_holds_for_the_best_of_many_random_columns(alignment: float) -> None:
    share = float((largest_cosines(16, 20, 5000) > alignment).mean())
    assert share <= chance_of_cosine(alignment, 16, 20) + 3 * math.sqrt(share / 5000)


def test_the_bound_counts_every_column_searched_and_stays_a_probability() -> None:
    assert chance_of_cosine(0.2, 2048, 8192, n_layers=16) == pytest.approx(
        16 * chance_of_cosine(0.2, 2048, 8192)
    )
    assert chance_of_cosine(-0.2, 2048, 8192) == chance_of_cosine(0.2, 2048, 8192)
    assert chance_of_cosine(0.0, 64, 8) == chance_of_cosine(0.01, 64, 8192) == 1


@pytest.mark.parametrize(("d_model", "count"), [(3, 1), (16, 20), (64, 100)])
def test_the_expected_maximum_equals_a_simulation(d_model: int, count: int) -> None:
    assert expected_max_cosine(d_model, count) == pytest.approx(
        largest_cosines(d_model, count, 4000).mean(), abs=0.015
    )


def test_the_expected_maximum_of_one_direction_in_space_is_a_half() -> None:
    assert expected_max_cosine(3, 1) == pytest.approx(0.5, abs=1e-4)


def test_the_expected_maximum_nears_its_subgaussian_bound_from_below() -> None:
    bound = math.sqrt(2 * math.log(2 * 131_072) / 2048)
    assert 0.85 * bound < expected_max_cosine(2048, 131_072) < bound


@given(seed=st.integers(0, 100), samples=st.integers(3, 20), width=st.integers(2, 20))
def test_the_participation_ratio_equals_that_of_the_covariance_spectrum(
    seed: int, samples: int, width: int
) -> None:
    stream = torch.randn(samples, width, generator=torch.Generator().manual_seed(seed))
    assert participation_ratio(stream) == pytest.approx(effective_dimensions(stream), rel=1e-6)


@given(seed=st.integers(0, 100))
def test_samples_on_a_line_have_one_dimension_whatever_their_mean(seed: int) -> None:
    line, mean = torch.randn(
        2, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    assert participation_ratio(torch.arange(5.0).unsqueeze(-1) * line + mean) == pytest.approx(1)


def test_equal_spread_in_every_dimension_has_them_all() -> None:
    assert participation_ratio(torch.cat([torch.eye(6), -torch.eye(6)])) == pytest.approx(6)


def test_samples_that_do_not_vary_have_no_dimension_to_count() -> None:
    assert math.isnan(participation_ratio(torch.ones(4, 3)))


def test_shapes_are_checked_while_testing() -> None:
    with pytest.raises(TypeCheckError):
        column_cosines(torch.zeros(4, 2), torch.ones(3))
