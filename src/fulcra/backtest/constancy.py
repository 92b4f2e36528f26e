"""Is the gain at collapse a constant? Spread of ceilings in five units; what explains a trigger."""

import math
from collections.abc import Sequence

from fulcra.backtest.grouping import grouped
from fulcra.backtest.windows import PoolRow
from fulcra.formulas.saturation import alignment_of_gain
from fulcra.formulas.variance import spreads, variance_shares
from fulcra.protocol.results.validation import CeilingRow, Constancy, TriggerShares, UnitSpread


def _units(row: CeilingRow) -> dict[str, float]:
    """A measured ceiling in each unit: activation, length of the write, gain, alignment, nats."""
    gain, nats = row.measured or math.nan, row.kl_at_ceiling or math.nan
    return {
        "activation": gain * row.budget,
        "write_length": gain * row.residual,
        "gain": gain,
        "alignment": alignment_of_gain(gain),
        "kl": nats,
    }


def ceiling_spreads(rows: Sequence[CeilingRow]) -> dict[str, UnitSpread]:
    """Standard deviations of the log ceiling in each unit, within layers, models and between."""
    measured = [row for row in rows if row.measured is not None and row.kl_at_ceiling]
    models, layers = [row.model for row in measured], [row.layer for row in measured]
    units = [_units(row) for row in measured]
    return {
        unit: UnitSpread(
            **spreads([math.log(row[unit]) for row in units], models, layers)._asdict()
        )
        for unit in (units[0] if units else ())
    }


def trigger_shares(pool: Sequence[PoolRow]) -> dict[str, TriggerShares]:
    """By model, the shares of the variance of log forecast triggers of behavior and of branch.

    Only branches whose trigger is on the ladder for two behaviors or more can tell the two apart;
    the others are left out.
    """
    shares = {}
    for model, rows in grouped(pool, lambda row: row.model).items():
        reached = [row for row in rows if row.trigger is not None]
        shared: list[PoolRow] = []
        for branch in grouped(reached, lambda row: row.branch).values():
            shared += branch if len({row.behavior for row in branch}) > 1 else []
        if len({row.branch for row in shared}) > 2:
            shares[model] = _shares(shared)
    return shares


def _shares(rows: Sequence[PoolRow]) -> TriggerShares:
    triggers = [math.log(row.trigger or math.nan) for row in rows]
    behaviors, branches = [row.behavior for row in rows], [row.branch for row in rows]
    shares = variance_shares(triggers, behaviors, branches)
    return TriggerShares(
        behavior=shares.first, branch=shares.second, residual=shares.residual, n=shares.n
    )


def constancy(ceilings: Sequence[CeilingRow], pool: Sequence[PoolRow]) -> Constancy:
    """Whether ceilings are constant in some unit, and what explains a trigger."""
    return Constancy(
        ceiling_spread=ceiling_spreads(ceilings), trigger_variance=trigger_shares(pool)
    )
