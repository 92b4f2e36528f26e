"""Ceilings of planted rows: one factor is learnt, calibration scored on what calibrated nothing."""

import numpy as np
import pytest

from fulcra.backtest.ceiling_scores import ceiling_scores, kl_at_ceiling
from tests.backtest.planted_rows import ceilings


def test_one_factor_is_learnt_and_a_right_ladder_has_no_error() -> None:
    scores = ceiling_scores(ceilings(), seed=0)
    assert scores["kl_ladder"].bias_log2 == pytest.approx(-1)
    assert scores["kl_ladder"].low <= scores["kl_ladder"].mae <= scores["kl_ladder"].high
    assert scores["kl_ladder_recalibrated_0"].bias_log2 == pytest.approx(-1)
    assert scores["kl_ladder_recalibrated_2"].mae == pytest.approx(0, abs=1e-9)
    assert (
        scores["kl_ladder"].tier,
        scores["kl_ladder_recalibrated_8"].tier,
        scores["layer_median_8"].tier,
    ) == (2, 3, 3)
    assert "layer_median_0" not in scores


def test_budgets_are_compared_on_branches_that_calibrated_none_of_them() -> None:
    scores = ceiling_scores(ceilings(n=200), seed=0)
    assert {
        scores[f"{method}_{n}"].n
        for method in ("layer_median", "kl_ladder_recalibrated")
        for n in (2, 8, 32)
    } == {200 - 2 * 32}


def test_divergence_at_the_ceiling_is_a_median_with_its_tenths() -> None:
    nats = kl_at_ceiling(ceilings())
    assert nats.median == pytest.approx(np.median([0.5 + i / 100 for i in range(80)]))
    assert (nats.low, nats.high) == pytest.approx(
        tuple(np.quantile([0.5 + i / 100 for i in range(80)], [0.1, 0.9]))
    )
