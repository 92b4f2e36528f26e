"""Candidates whose truth was planted: crossings, levels, the nested choice, figures by lineage."""

import numpy as np
import pytest

from fulcra.backtest.ladder_candidates import (
    BY_NAME,
    CANDIDATES,
    LOGS,
    Branches,
    crossed,
    fitted_levels,
    own_levels,
)
from fulcra.backtest.ladder_scores import Scorer, best_choice, inner_errors, noise_variance
from fulcra.formulas.edge_error import alignment_errors
from fulcra.formulas.intervals import crossing
from fulcra.formulas.resampling import cluster_draws
from fulcra.ladders.kl_ladder import CEILING_GAINS
from tests.backtest.planted_rows import ceilings

LINEAGES = ("a", "b", "c")
N = 24


def planted(exact: str, level: float) -> Branches:
    """Three lineages whose ceilings are where one statistic has a level; all else is luck."""
    rng = np.random.default_rng(0)
    names = [c.name for c in CANDIDATES if not c.mean_of]
    n = N * len(LINEAGES)
    measured = np.exp(rng.uniform(-1, 1, n))
    steps = {name: np.exp(rng.uniform(-1, 1, n)) for name in names} | {exact: measured}
    curves = {
        name: level + (LOGS[None, :] - np.log(place)[:, None]) / 4 for name, place in steps.items()
    }
    return Branches(curves, measured, np.full(n, 5.0), np.repeat(LINEAGES, N))


def scorer(branches: Branches) -> Scorer:
    neurons = [f"n{i // 2}" for i in range(N)]
    return Scorer(
        branches,
        {name: cluster_draws(neurons, 0) for name in LINEAGES},
        dict.fromkeys(LINEAGES, 0.0),
    )


def test_crossings_of_many_rows_are_those_of_one() -> None:
    rng = np.random.default_rng(1)
    curves = rng.uniform(0, 1, (40, len(CEILING_GAINS)))
    curves[0] = 0.2
    curves[1, 4:] = np.nan
    for level in (0.1, 0.5, 0.9):
        one = [crossing(CEILING_GAINS, row.tolist(), level) for row in curves]
        many = crossed(curves, level)
        assert [None if np.isnan(gain) else gain for gain in many] == [
            gain if gain is None else pytest.approx(gain) for gain in one
        ]


def test_levels_are_read_off_other_lineages() -> None:
    branches = planted("reverse_kl", 0.7)
    assert fitted_levels(branches, BY_NAME["reverse_kl"])["reverse_kl"] == pytest.approx(0.7)
    score = scorer(branches).scored(BY_NAME["reverse_kl"])
    assert score.frozen is None
    assert score.fitted is not None
    assert score.fitted.cos.value == pytest.approx(0, abs=1e-6)
    assert score.levels == {name: pytest.approx(0.7) for name in LINEAGES}
    assert score.fitted.correlation == pytest.approx(1)
    assert own_levels(BY_NAME["kl_and_odd"]) == {"kl_mean": 0.8, "odd": 0.3}


def test_the_nested_choice_is_the_statistic_that_was_planted() -> None:
    branches = planted("odd_over_half", 0.2)
    candidate, fits = best_choice(inner_errors(branches.of(["a", "b"])), 0)
    assert (candidate.name, fits) == ("odd_over_half", True)
    nested = scorer(branches).nested()
    assert nested[0].pool == "given text alone"
    assert nested[0].chosen == dict.fromkeys(LINEAGES, "odd_over_half at 0.2")
    assert nested[0].score.cos.value == pytest.approx(0, abs=1e-6)
    assert scorer(branches.of(["a", "b"])).nested() == []


def test_own_text_is_chosen_only_where_the_pool_allows_it() -> None:
    branches = planted("own_odd_16", 0.3)
    chosen = {row.pool: row.chosen["a"] for row in scorer(branches).nested()}
    assert "own_odd_16" not in chosen["at most 8 own tokens"]
    assert "own_odd_16 at 0.3" in chosen["at most 16 own tokens"]


def test_errors_are_the_mean_of_lineages_and_beyond_is_the_last_rung() -> None:
    branches = planted("kl_mean", 0.8)
    gains = branches.measured * 2
    gains[:3] = np.nan
    score = scorer(branches).score(gains)
    reached = np.where(np.isnan(gains), 5.0, gains)
    errors = alignment_errors(reached, branches.measured)
    assert score.beyond == 3
    assert score.cos.value == pytest.approx(errors.reshape(3, N).mean(1).mean())
    assert score.lineages["b"].bias_log2 == pytest.approx(1)
    assert score.cos.low is not None
    assert score.cos.high is not None
    assert score.cos.low < score.cos.value < score.cos.high
    # the planted ladder is exact: all of the error is above it
    assert score.over_kl_ladder.value == pytest.approx(score.cos.value)


def test_the_noise_of_a_ceiling_is_that_of_its_halves() -> None:
    rows = ceilings(n=40)
    pairs = [row.repeats.halves for row in rows if row.repeats is not None]
    gaps = alignment_errors([a for a, _ in pairs], [b for _, b in pairs])
    assert noise_variance(rows) == pytest.approx((gaps**2).mean() / 4)
    assert noise_variance([row for row in rows if row.repeats is None]) == 0


def test_draws_count_whole_clusters() -> None:
    draws = cluster_draws(["x", "y", "x", "z"], 3, resamples=50)
    assert draws.shape == (50, 4)
    assert (draws[:, 0] == draws[:, 2]).all()
    assert (draws[:, [0, 1, 3]].sum(1) == 3).all()
