"""Ranks of drawn branches: intervals over lineages, pairs of a case, figures that do not exist."""

import math

import numpy as np
import pytest

from fulcra.backtest.drawn_rows import Drawn, bounded, p_above
from fulcra.formulas.classification import auroc
from fulcra.protocol.results.validation import VerdictRow
from tests.backtest.planted_rows import verdicts


def test_an_informed_margin_ranks_and_a_blind_one_does_not() -> None:
    for informed in (True, False):
        drawn = Drawn.of(verdicts(0, informed), seed=0)
        value, again = drawn.areas("L3")
        interval = bounded(value, again)
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low <= value <= interval.high
        assert interval.half_width == pytest.approx((interval.high - interval.low) / 2)
        assert (interval.low > 0.8) is informed
        assert value == auroc(drawn.margins("L3"), drawn.opened)


def moved(rows: list[VerdictRow]) -> list[VerdictRow]:
    """The same branches, the margins of each model moved by where its branches open more."""
    shares = {
        model: np.mean([row.observed_open for row in rows if row.model == model])
        for model in {row.model for row in rows}
    }
    return [
        row.model_copy(update={"margins": {"L3": row.margins["L3"] + 40 * shares[row.model]}})
        for row in rows
    ]


def test_pairs_of_one_case_do_not_reward_telling_models_apart() -> None:
    rows = verdicts(1, False)
    plain, apart = Drawn.of(rows, 0), Drawn.of(moved(rows), 0)
    assert apart.areas("L3")[0] > plain.areas("L3")[0]
    assert apart.within("L3") == pytest.approx(plain.within("L3"))


def test_what_is_undefined_is_told_as_nothing() -> None:
    closed = [row.model_copy(update={"observed_open": False}) for row in verdicts(0, True)]
    drawn = Drawn.of(closed, 0)
    nothing = bounded(*drawn.areas("L3"))
    assert (nothing.value, nothing.low, nothing.half_width) == (None, None, None)
    assert drawn.within("L3") is None
    assert p_above(np.array([math.nan])) is None
    assert p_above(np.array([0.1, 0.2, math.nan])) == pytest.approx(1 / 3)
