"""Is the gain at collapse a constant of anything? Spread of ceilings in five units, and what
explains a trigger.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from fulcra.backtest.scoring import Row, Rows, grouped
from fulcra.formulas.saturation import alignment_of_gain
from fulcra.formulas.variance import spreads, variance_shares

#: A measured ceiling in each unit: activation, length of the write, gain, alignment, nats a token.
UNITS: dict[str, Callable[[Row], float]] = {
    "activation": lambda row: row["measured"] * row["budget"],
    "write_length": lambda row: row["measured"] * row["residual"],
    "gain": lambda row: row["measured"],
    "alignment": lambda row: alignment_of_gain(row["measured"]),
    "kl": lambda row: row["kl_at_ceiling"],
}


def ceiling_spreads(rows: Rows) -> dict[str, dict[str, float]]:
    """The standard deviation of the log ceiling in each unit, within layers, within models, between
    models.
    """
    known = [row for row in rows if row["measured"] is not None and row["kl_at_ceiling"]]
    if not known:
        return {}
    models, layers = [row["model"] for row in known], [row["layer"] for row in known]
    return {
        unit: spreads([math.log(of(row)) for row in known], models, layers)._asdict()
        for unit, of in UNITS.items()
    }


def trigger_shares(pool: Rows) -> dict[str, dict[str, Any]]:
    """By model, the share of the variance of log forecast triggers explained by behavior and by
    branch, each beyond the other.

    Only branches whose trigger is known for two behaviors or more can tell the two apart; the
    others are left out.
    """
    found = {}
    for model, rows in grouped(pool, "model").items():
        known = [row for row in rows if row["trigger"] is not None]
        shared = [
            row
            for some in grouped(known, "branch").values()
            if len({r["behavior"] for r in some}) > 1
            for row in some
        ]
        if len({row["branch"] for row in shared}) > 2:
            values = [math.log(row["trigger"]) for row in shared]
            shares = variance_shares(
                values, [row["behavior"] for row in shared], [row["branch"] for row in shared]
            )
            found[model] = {
                "behavior": shares.first,
                "branch": shares.second,
                "residual": shares.residual,
                "n": shares.n,
            }
    return found


def universality(ceilings: Sequence[Row], pool: Sequence[Row]) -> dict[str, Any]:
    """Both tables."""
    return {"ceiling_spread": ceiling_spreads(ceilings), "trigger_variance": trigger_shares(pool)}
