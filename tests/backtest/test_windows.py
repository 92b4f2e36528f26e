"""Branches drawn by predicted margin: evenly over strata, with weights that give the pool back."""

import pytest

from fulcra.backtest.windows import margin_score, stratified, stratum


def test_censored_edges_rank_beyond_every_ladder() -> None:
    assert margin_score(2.0, 1.0) == 1
    assert (
        margin_score(None, 2.4)
        > margin_score(5.0, 2.4)
        > 0
        > margin_score(None, None)
        > margin_score(0.3, None)
    )
    assert [stratum(score) for score in (-9.0, -0.5, 0.1, 3.0)] == [0, 1, 2, 3]


def test_strata_are_drawn_evenly_and_weights_give_the_pool_back() -> None:
    scores = [-3.0] * 50 + [-0.5] * 20 + [0.2] * 2 + [2.0] * 8
    drawn = stratified(scores, 14, seed=0)
    assert len({i for i, _ in drawn}) == 14
    assert sum(weight for _, weight in drawn) == pytest.approx(80)
    assert {2, 4} >= {sum(stratum(scores[i]) == place for i, _ in drawn) for place in range(4)}
    assert len(stratified([0.1, 0.2], 9, seed=0)) == 2
