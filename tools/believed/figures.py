"""Figures as the page prints them: three decimals without a zero before the point."""

import re

from fulcra.protocol.results.validation import CeilingScore
from fulcra.report.notation import Span, fixed


def short(value: float | None, digits: int = 3) -> str:
    """The value with so many decimals, as in ".054"."""
    return re.sub(r"^(-?)0\.", r"\1.", fixed(value, digits))


def percent(rate: float | None) -> str:
    """A rate as a whole percentage."""
    return "-" if rate is None else f"{100 * rate:.0f} %"


def ends(estimate: Span, digits: int = 3) -> str:
    """The two ends of an interval, as in ".045 to .065"."""
    return f"{short(estimate.low, digits)} to {short(estimate.high, digits)}"


def less(first: float | None, second: float | None) -> bool:
    """Whether both are there and the first is the smaller one."""
    return first is not None and second is not None and first < second


def clearly_less(first: CeilingScore, second: CeilingScore) -> bool:
    """Whether the first predictor errs less than the second, with intervals apart."""
    return less(first.high, second.low)


def ratio(first: float | None, second: float | None) -> str:
    """One over the other with two decimals."""
    return "-" if first is None or not second else f"{first / second:.2f}"
