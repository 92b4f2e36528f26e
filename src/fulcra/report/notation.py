"""Numbers as the report prints them: an unknown one is a dash, an edge off the ladder says so."""

import math
from typing import Protocol

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


class Interval(Protocol):
    """A rate with its interval and its number of observations."""

    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def n(self) -> int: ...


class Edge(Protocol):
    """An edge that may lie beyond the ladder."""

    @property
    def gain(self) -> float | None: ...
    @property
    def censored(self) -> bool: ...


class Score(Protocol):
    """A count of agreement and what it is out of."""

    @property
    def agree(self) -> int: ...
    @property
    def n(self) -> int: ...


def interval(estimate: Interval) -> str:
    """The interval of a rate and its number: "81 to 100%, n = 16", the "to" a dash."""
    low, high = estimate.low, estimate.high
    parts = [] if low is None or high is None else [f"{100 * low:.0f}\N{EN DASH}{rate(high)}"]
    return ", ".join([*parts, f"n = {estimate.n}"])


def edge(value: Edge | None) -> str:
    """The gain of an edge: a number, "> ladder" where it is censored, "none" where unmeasured."""
    if value is None:
        return gain(None)
    return BEYOND if value.gain is None and value.censored else gain(value.gain)


def of(score: Score | None) -> str:
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
    return name.replace("_", " ")
