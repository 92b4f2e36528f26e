"""A unit in which ceilings are constant has no spread; a factor that decides has its share."""

import pytest

from fulcra.backtest.constancy import ceiling_spreads, trigger_shares
from fulcra.backtest.windows import PoolRow
from tests.backtest.planted_rows import ceilings


def test_a_universal_unit_has_no_spread_and_a_factor_shows_its_share() -> None:
    rows = [
        row.model_copy(update={"measured": 1.2, "budget": 2.0 + (i % 7)})
        for i, row in enumerate(ceilings())
    ]
    spreads = ceiling_spreads(rows)
    assert spreads["gain"].within_layer == pytest.approx(0, abs=1e-9)
    assert (spreads["activation"].within_model or 0) > 0.2
    pool = [pooled(f"b{i}", f"x{j}", 2.0**j) for i in range(5) for j in range(3)]
    shares = trigger_shares([*pool, pooled("alone", "x0", 9.0)])["m"]
    assert (shares.behavior, shares.branch, shares.n) == (
        pytest.approx(1),
        pytest.approx(0, abs=1e-9),
        15,
    )


def pooled(branch: str, behavior: str, trigger: float) -> PoolRow:
    """A branch of the pool with its forecast trigger."""
    return PoolRow(
        lineage="l",
        recipe="r",
        model="m",
        behavior=behavior,
        neuron=branch,
        branch=branch,
        trigger=trigger,
    )
