"""Tournaments of screens and multiplied sets in the terminal."""

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from fulcra.protocol.results.multiply import MultiplyResult
    from fulcra.protocol.results.screens import ScreensResult

SCREENS = ("screen", "units", "corrected AP", "95 %", "recall@32", "stability", "CPU s")
MULTIPLIED = ("set", "pole", "x", "behavior", "flips", "reach", "quality", "surprise", "nats")


def screens_table(result: "ScreensResult") -> Table:
    """One row a screen, the best first."""
    table = Table(*SCREENS)
    for score in result.screens:
        table.add_row(
            score.screen,
            score.units,
            f"{score.value:.2f}",
            "-" if score.low is None else f"{score.low:.2f}-{_cell(score.high)}",
            _cell(score.recall_at["32"]),
            _cell(score.stability),
            f"{score.seconds:.1f}",
        )
    return table


def multiply_table(result: "MultiplyResult") -> Table:
    """One row a set of neurons and multiplier, beside the flips of random sets."""
    table = Table(*MULTIPLIED, "flips, random sets")
    for row in result.rows:
        rates = (row.behavior_rate, row.flip_rate, row.reach, row.quality, row.surprise, row.nats)
        table.add_row(
            f"{row.set} ({row.neurons})",
            row.pole,
            f"{row.multiplier:g}",
            *map(_cell, rates),
            f"{row.random_flip_rate:.2f}",
        )
    return table


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
