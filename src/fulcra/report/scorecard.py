"""What was committed against what was measured, with the law's own back-test beside it."""

import math
from collections.abc import Sequence
from statistics import quantiles
from typing import TYPE_CHECKING, NamedTuple

from fulcra.formulas.intervals import wilson
from fulcra.report.backtest import BACKTEST
from fulcra.report.notation import UNKNOWN, interval, number, rate
from fulcra.report.reading import measured
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch, Measured, Predicted
    from fulcra.protocol.results.summary import Agreement

COLUMNS = ("what was predicted", "here", "back-test")


class EdgePair(NamedTuple):
    """One edge of one branch, committed and measured; None lies beyond the ladder."""

    name: str
    predicted: float | None
    measured: float | None


def edge_pairs(audit: "AuditResult", ceiling: bool) -> list[EdgePair]:
    """The branches of which one edge was both committed and measured."""
    pairs = []
    for entry in measured(audit):
        first, second = _edges(audit, entry, ceiling)
        if first is not None and second is not None:
            pairs.append(EdgePair(entry.name, first.gain, second.gain))
    return pairs


def _edges(
    audit: "AuditResult", entry: "Branch", ceiling: bool
) -> "tuple[Predicted | None, Measured | None]":
    if ceiling:
        return entry.ceiling_predicted, entry.ceiling_measured
    return entry.trigger_predicted, entry.trigger(audit.behavior.horizon)


def scorecard(audit: "AuditResult") -> Sheet:
    """One row a quantity; every number with its n and 95 % interval."""
    scores, back = audit.summary.scores, BACKTEST
    accuracy = f"{rate(back.accuracy)} ({_share(back.accuracy_low, back.accuracy_high)}"
    rows = [
        (
            "ceiling: mean error of its alignment",
            _mean_error(edge_pairs(audit, ceiling=True)),
            f"{back.mae:.3f} ({back.mae_low:.3f}\N{EN DASH}{back.mae_high:.3f}, n ="
            f" {back.ceilings}); two measurements of one ceiling differ by {back.noise_floor:.3f}",
        ),
        (
            "trigger: mean error of its alignment",
            _mean_error(edge_pairs(audit, ceiling=False)),
            UNKNOWN,
        ),
        ("ceiling: beyond the ladder or not", _sides(edge_pairs(audit, ceiling=True)), UNKNOWN),
        ("trigger: beyond the ladder or not", _sides(edge_pairs(audit, ceiling=False)), UNKNOWN),
        (
            "open or closed, both edges forecast",
            _agreed(scores.get("L1")),
            f"{accuracy}, n = {back.decided}); always \N{LEFT DOUBLE QUOTATION MARK}closed"
            f"\N{RIGHT DOUBLE QUOTATION MARK} {rate(back.majority)}; AUROC {number(back.auroc)}",
        ),
        ("open or closed, both edges measured", _agreed(scores.get("L3")), UNKNOWN),
    ]
    return Sheet(COLUMNS, rows)


def _share(low: float, high: float) -> str:
    return f"{100 * low:.0f}\N{EN DASH}{rate(high)}"


def _mean_error(pairs: Sequence[EdgePair]) -> str:
    """The mean error in alignment g / sqrt(1 + g^2), with its 5-95 % range over branches."""
    both = [(p.predicted, p.measured) for p in pairs if p.predicted and p.measured]
    if not both:
        return f"none of {len(pairs)} has both edges on the ladder"
    errors = [abs(_alignment(first) - _alignment(second)) for first, second in both]
    mean = f"{sum(errors) / len(errors):.3f}"
    if len(errors) < 3:
        return f"{mean} (n = {len(errors)})"
    ends = quantiles(errors, n=20, method="inclusive")
    return f"{mean} (5\N{EN DASH}95% {ends[0]:.3f}\N{EN DASH}{ends[-1]:.3f}, n = {len(errors)})"


def _alignment(gain: float) -> float:
    return gain / math.hypot(1, gain)


def _sides(pairs: Sequence[EdgePair]) -> str:
    """How often prediction and measurement agree on which side of the ladder's end an edge lies."""
    if not pairs:
        return "not predicted"
    agree = sum((pair.predicted is None) == (pair.measured is None) for pair in pairs)
    estimate = wilson(agree, len(pairs))
    return f"{agree} of {len(pairs)} ({interval(estimate)})"


def _agreed(score: "Agreement | None") -> str:
    if score is None or not score.n:
        return "no branch is decided"
    estimate = wilson(score.agree, score.n)
    return f"{score.agree} of {score.n} ({interval(estimate)})"
