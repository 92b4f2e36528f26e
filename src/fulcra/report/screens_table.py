"""Tournaments of screens and multiplied sets of neurons in the terminal."""

from typing import TYPE_CHECKING

from fulcra.report.notation import fixed
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.multiply import MultiplyResult
    from fulcra.protocol.results.screens import ScreensResult

SCORES = ("corrected AP", "95 %", "recall@32", "stability", "CPU s")
RATES = ("x", "behavior", "flips", "reach", "quality", "surprise", "nats", "flips, random sets")


def screens_sheet(result: "ScreensResult") -> Sheet:
    """One row a screen, the best first."""
    rows = []
    for score in result.screens:
        span = "-" if score.low is None else f"{fixed(score.low)}-{fixed(score.high)}"
        recall, overlap = fixed(score.recall_at["32"]), fixed(score.stability)
        cells = (score.screen, score.units, fixed(score.value), span, recall, overlap)
        rows.append((*cells, f"{score.seconds:.1f}"))
    return Sheet(("screen", "units", *SCORES), rows, numbers=SCORES)


def multiply_sheet(result: "MultiplyResult") -> Sheet:
    """One row a set of neurons and multiplier, beside the flips of random sets."""
    rows = []
    for row in result.rows:
        rates = (row.behavior_rate, row.flip_rate, row.reach, row.quality, row.surprise, row.nats)
        cells = (f"{row.set} ({row.neurons})", row.pole, f"{row.multiplier:g}")
        rows.append((*cells, *map(fixed, rates), f"{row.random_flip_rate:.2f}"))
    return Sheet(("set", "pole", *RATES), rows, numbers=RATES)
