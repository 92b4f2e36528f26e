"""Bootstraps of clusters: widths in closed form, clusters that move as one, a p that is uniform."""

import math

import numpy as np
import pytest

from fulcra.errors import InputError
from fulcra.formulas.resampling import cluster_bootstrap, nested_draws, resampled_means, spread


def test_a_bootstrap_of_single_clusters_has_the_width_of_the_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=200)
    interval = cluster_bootstrap(values.tolist(), range(200), seed=1, resamples=4000)
    assert interval.value == pytest.approx(values.mean())
    assert (interval.high - interval.low) / 2 == pytest.approx(
        1.96 * values.std() / math.sqrt(200), rel=0.1
    )


def test_copies_within_a_cluster_add_no_certainty() -> None:
    values = np.random.default_rng(0).normal(size=40).tolist()
    single = cluster_bootstrap(values, range(40), seed=1)
    copied = cluster_bootstrap(values * 5, list(range(40)) * 5, seed=1)
    assert copied[:3] == pytest.approx(single[:3])


def test_a_bootstrap_is_decided_by_its_seed() -> None:
    values, clusters = [0.0, 1.0, 1.0, 0.0, 1.0], ["a", "a", "b", "c", "d"]
    assert cluster_bootstrap(values, clusters, seed=3) == cluster_bootstrap(
        values, clusters, seed=3
    )
    assert cluster_bootstrap(values, clusters, seed=3) != cluster_bootstrap(
        values, clusters, seed=4, resamples=50
    )


@pytest.mark.parametrize(
    ("values", "clusters"), [([1.0, 2.0], ["a", "a"]), ([1.0, 2.0], ["a"]), ([], [])]
)
def test_a_bootstrap_of_one_cluster_is_refused(values: list[float], clusters: list[str]) -> None:
    with pytest.raises(InputError, match="at least two clusters"):
        cluster_bootstrap(values, clusters, seed=0)


def test_with_one_outer_cluster_it_is_the_plain_cluster_bootstrap() -> None:
    values, inner = np.random.default_rng(0).normal(size=80), [i // 2 for i in range(80)]
    interval = spread(resampled_means(values, ["a"] * 80, inner, seed=1))
    plain = cluster_bootstrap(values.tolist(), inner, seed=1)
    assert (interval.low, interval.high) == pytest.approx((plain.low, plain.high), abs=0.03)


def test_outer_clusters_carry_their_own_variance() -> None:
    """Lineages that differ only among themselves: the width is that of a mean of lineages, however
    many neurons each has.
    """
    levels = np.random.default_rng(0).normal(size=30)
    outer = [i for i in range(30) for _ in range(20)]
    means = resampled_means(levels[outer], outer, list(range(600)), seed=2)
    assert means.std() == pytest.approx(levels.std() / math.sqrt(30), rel=0.1)


def test_inner_labels_are_those_of_their_outer_cluster() -> None:
    values = np.random.default_rng(0).normal(size=60)
    outer = [i // 20 for i in range(60)]
    same, apart = (
        resampled_means(values, outer, inner, seed=3)
        for inner in ([i % 20 for i in range(60)], range(60))
    )
    assert same == pytest.approx(apart)


def test_a_weight_counts_as_so_many_copies() -> None:
    values, outer, inner = [0.0, 1.0, 2.0, 5.0], list("aabb"), [0, 1, 0, 1]
    weighted = resampled_means(values, outer, inner, seed=4, weights=[1, 2, 3, 1])
    copied = resampled_means(
        [0.0, 1.0, 1.0, 2.0, 2.0, 2.0, 5.0], list("aaabbbb"), [0, 1, 1, 0, 0, 0, 1], seed=4
    )
    assert weighted == pytest.approx(copied)


def test_without_an_effect_p_is_below_a_twentieth_once_in_twenty() -> None:
    rng, drawn = np.random.default_rng(0), 400
    p_values = [
        spread(
            resampled_means(rng.normal(size=40), ["a"] * 40, range(40), seed=i, resamples=200)
        ).p_value
        for i in range(drawn)
    ]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="give every value one label of each kind"):
        resampled_means([1.0, 2.0], ["a"], [1, 2], seed=0)
    with pytest.raises(InputError, match="0 values"):
        resampled_means([], [], [], seed=0)


def test_nested_draws_move_clusters_as_one_and_lineages_whole() -> None:
    outer, inner = ["a", "a", "a", "b", "b"], [1, 1, 2, 1, 2]
    draws = nested_draws(outer, inner, seed=0, resamples=50)
    assert (draws[:, 0] == draws[:, 1]).all()
    assert set(draws[:, [0, 2]].sum(1).tolist()) <= {0, 2, 4}
    assert (draws[:, [0, 2]].sum(1) + draws[:, [3, 4]].sum(1) == 4).all()
    values, weights = np.arange(5.0), np.array([1.0, 2.0, 1.0, 3.0, 1.0])
    means = resampled_means(values, outer, inner, 0, weights, resamples=50)
    assert means == pytest.approx((draws @ (values * weights)) / (draws @ weights))
