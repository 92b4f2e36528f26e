"""Numbers as the report prints them: an unknown one is a dash, an edge off the ladder says so."""

import math
from typing import Protocol

from fulcra.formulas.intervals import wilson

UNKNOWN = "\N{EN DASH}"
BEYOND = "> ladder"
ABSENT = "none"


def number(value: float | None) -> str:
    """The value with three significant digits."""
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:.3g}"


def margin(value: float | None) -> str:
    """A margin in octaves of gain, signed: above 0 the trigger comes before the ceiling."""
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:+.2f}"


def gain(value: float | None) -> str:
    """A gain with two digits, "none" where there is none."""
    return (
        ABSENT
        if value is None or not math.isfinite(value)
        else f"{value:.2f}"
        if value >= 0.1
        else f"{value:.2g}"
    )


def rate(value: float | None) -> str:
    """A rate in [0, 1] as a whole percentage."""
    return UNKNOWN if value is None or not math.isfinite(value) else f"{100 * value:.0f}%"


def chance(value: float | None) -> str:
    """A forecast chance as a whole percentage; what rounds to none is below 1 %."""
    return "<1%" if value is not None and 0 < value < 0.005 else rate(value)


def fixed(value: float | None, digits: int = 2) -> str:
    """The value with so many decimals, never a negative zero; "-" where it is unknown."""
    return "-" if value is None else f"{value:z.{digits}f}"


class Span(Protocol):
    """The two ends of an interval; either may be unknown."""

    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


class AnyInterval(Protocol):
    """A rate with its interval and its number of observations."""

    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def n(self) -> int: ...


class AnyEdge(Protocol):
    """An edge that may lie beyond the ladder."""

    @property
    def gain(self) -> float | None: ...
    @property
    def censored(self) -> bool: ...


class AnyScore(Protocol):
    """A count of agreement and what it is out of."""

    @property
    def agree(self) -> int: ...
    @property
    def n(self) -> int: ...


def span(estimate: Span) -> str:
    """The two ends with three digits each, a dash between; a dash alone where one is unknown."""
    if estimate.low is None or estimate.high is None:
        return UNKNOWN
    return f"{number(estimate.low)}\N{EN DASH}{number(estimate.high)}"


def rates(estimate: Span) -> str:
    """The two ends of a rate's interval, "81 to 100%", the "to" a dash."""
    if estimate.low is None or estimate.high is None:
        return UNKNOWN
    return f"{100 * estimate.low:.0f}\N{EN DASH}{rate(estimate.high)}"


def interval(estimate: AnyInterval) -> str:
    """The interval of a rate and its number: "81 to 100%, n = 16", the "to" a dash."""
    unknown = estimate.low is None or estimate.high is None
    return f"n = {estimate.n}" if unknown else f"{rates(estimate)}, n = {estimate.n}"


def counted(value: float | None, n: int | None) -> str:
    """A rate with its 95 % Wilson interval and number: "75% (51 to 90%, n = 16)", dashes in it.

    Without a number of rollouts the rate alone.
    """
    if value is None or n is None or not n:
        return rate(value)
    return f"{rate(value)} ({interval(wilson(round(value * n), n))})"


def edge(value: AnyEdge | None) -> str:
    """The gain of an edge: a number, "> ladder" where it is censored, "none" where unmeasured."""
    if value is None:
        return gain(None)
    return BEYOND if value.gain is None and value.censored else gain(value.gain)


def spread(value: Span) -> str:
    """The 5-95 % interval of a measured edge in gains; its upper end may be beyond the ladder."""
    high = BEYOND if value.high is None else gain(value.high)
    return f"5\N{EN DASH}95% {gain(value.low)}\N{EN DASH}{high}"


def of(score: AnyScore | None) -> str:
    """A count beside its denominator: "40 of 47"."""
    return UNKNOWN if score is None else f"{score.agree} of {score.n}"


def yes_no(value: bool | None) -> str:
    """A truth value in a word."""
    return UNKNOWN if value is None else "yes" if value else "no"


def attack(name: str | None) -> str:
    """The attack's name in words: "prefill_8" is "prefill, 8 tokens"."""
    if name is None:
        return ABSENT
    if name.startswith("prefill_"):
        count = name.removeprefix("prefill_")
        return f"prefill, {count} token{'' if count == '1' else 's'}"
    return "asking for it" if name == "asked" else name.replace("_", " ")
