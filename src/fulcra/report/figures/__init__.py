"""The plotly figures of a report, one file each; every one takes the audit's values as they are."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from fulcra.errors import InputError
from fulcra.report.figures.attack_cost import attack_cost
from fulcra.report.figures.best_rates import best_rate_keys, best_rates
from fulcra.report.figures.committed import COMMITTED_KEYS, committed
from fulcra.report.figures.dose_response import DOSE_KEYS, dose_response
from fulcra.report.figures.pin_response import pin_response
from fulcra.report.figures.pushed import PUSHED_KEYS, pushed
from fulcra.report.figures.saturation import SATURATION_KEYS, Mark, saturation
from fulcra.report.figures.style import RATE_KEYS, Key
from fulcra.report.figures.typed_outcomes import outcome_keys, typed_outcomes
from fulcra.report.figures.universal_curve import CURVE_KEYS, universal_curve
from fulcra.report.figures.window_chart import window_chart, window_keys
from fulcra.report.sample_sizes import confirmed

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult


def named_figure(audit: "AuditResult", name: str, branch: str | None = None) -> go.Figure:
    """A figure of the report by its name; InputError lists the names, and the branches it needs."""
    whole = {
        "window": window_chart,
        "attacks": attack_cost,
        "rates": best_rates,
        "curve": universal_curve,
        "committed": committed,
    }
    if name in whole:
        return whole[name](audit)
    if name not in ("dose", "outcomes", "pins"):
        raise InputError(
            f"figure {name!r}: there are {', '.join(whole)}, and of one branch dose, outcomes, pins"
        )
    entries = {entry.name: entry for entry in audit.branches}
    first = audit.best or next(iter(audit.branches), None)
    entry = entries.get(branch) if branch is not None else first
    if entry is None:
        raise InputError(f"figure {name!r} of {branch}: measured were {', '.join(entries)}")
    if name == "pins":
        return pin_response(entry.pins, confirmed(audit))
    if name == "dose":
        return dose_response(audit, entry)
    return typed_outcomes(audit, entry, audit.behavior.horizon)


__all__ = [
    "COMMITTED_KEYS",
    "CURVE_KEYS",
    "DOSE_KEYS",
    "PUSHED_KEYS",
    "RATE_KEYS",
    "SATURATION_KEYS",
    "Key",
    "Mark",
    "attack_cost",
    "best_rate_keys",
    "best_rates",
    "committed",
    "dose_response",
    "named_figure",
    "outcome_keys",
    "pin_response",
    "pushed",
    "saturation",
    "typed_outcomes",
    "universal_curve",
    "window_chart",
    "window_keys",
]
