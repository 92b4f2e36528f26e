"""Tournaments of screens as one page, docs/screens.md: a table each, and the questions answered."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fulcra.report.notation import Span, fixed
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.screens import ScreensResult


def screens_page(results: Sequence["ScreensResult"]) -> str:
    """The page of one or more tournaments, in Markdown."""
    return filled("screens.md", results=results, number=number, percent=percent, span=span)


def number(value: float | None) -> str:
    """The value with two decimals, none from 100 on."""
    return fixed(value, 2 if value is None or abs(value) < 100 else 0)


def percent(value: float | None) -> str:
    """A share as a whole percentage."""
    return "-" if value is None else f"{100 * value:.0f} %"


def span(value: Span) -> str:
    """The two ends of an interval, as in "0.27 to 0.55"."""
    return f"{number(value.low)} to {number(value.high)}"
