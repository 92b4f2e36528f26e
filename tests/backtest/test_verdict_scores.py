"""Calls of planted rows: a right law scores as right, a useless one as chance."""

import pytest

from fulcra.backtest.verdict_scores import baseline_scores, verdict_score
from tests.backtest.planted_rows import verdicts


def test_an_informed_law_beats_the_majority_and_a_blind_one_does_not() -> None:
    right, blind = (
        verdict_score(verdicts(0, informed), "L3", seed=0) for informed in (True, False)
    )
    assert right.auroc > 0.98
    assert right.auroc_decided > 0.98
    assert right.p_value < 0.01
    assert right.low > right.majority_baseline
    assert abs(blind.auroc - 0.5) < 0.12
    assert blind.p_value > 0.05


def test_undetermined_branches_are_coverage_and_once_wrong() -> None:
    score = verdict_score(verdicts(0, True), "L3", seed=0)
    assert score.coverage == pytest.approx(0.9)
    assert score.accuracy is not None
    assert score.accuracy_undetermined_wrong == pytest.approx(score.accuracy * 0.9)
    assert score.confusion is not None
    assert sum(score.confusion.plain().values()) == score.decided == 144


def test_what_knows_no_edge_scores_at_chance() -> None:
    scores = baseline_scores(verdicts(0, True))
    assert scores["margin_only"].auroc == 0.5
    assert abs((scores["layer_only"].auroc or 0) - 0.5) < 0.2
