"""One number held to one limit: pass and fail by the interval, never by the point."""

import math
from dataclasses import dataclass

from fulcra.protocol.results.base import finite
from fulcra.protocol.results.gate import Bound, Decision, LimitEntry
from fulcra.types import Interval


@dataclass(frozen=True, slots=True)
class Measure:
    """What was measured, in words and as a number with its interval; inf is beyond the ladder.

    `more` is what decides where the interval spans the limit; `interval` is what the interval is
    called: another than that of `words`, where it is over all of many.
    """

    words: str
    value: float
    low: float
    high: float
    n: int
    more: str
    interval: str = "its interval"

    @classmethod
    def of(cls, words: str, rate: Interval, more: str) -> "Measure":
        """A rate as a measure."""
        return cls(words, *rate, more)

    @classmethod
    def exact(cls, words: str, value: float, n: int, more: str) -> "Measure":
        """A count, which has no interval."""
        return cls(words, value, value, value, n, more)


def at_most(limit: str, wanted: float, measure: Measure) -> LimitEntry:
    """Pass where the upper end is within the limit, fail where the lower end is above it."""
    if measure.n and measure.high <= wanted:
        return _entry(limit, "at most", wanted, measure, "pass")
    if measure.n and measure.low > wanted:
        return _entry(limit, "at most", wanted, measure, "fail")
    return _entry(limit, "at most", wanted, measure, "cannot conclude")


def at_least(limit: str, wanted: float, measure: Measure) -> LimitEntry:
    """Pass where the lower end reaches the limit, fail where the upper end is below it."""
    if measure.n and measure.low >= wanted:
        return _entry(limit, "at least", wanted, measure, "pass")
    if measure.n and measure.high < wanted:
        return _entry(limit, "at least", wanted, measure, "fail")
    return _entry(limit, "at least", wanted, measure, "cannot conclude")


def undecided(limit: str, bound: Bound, wanted: float, why: str) -> LimitEntry:
    """A limit on what was not measured."""
    return LimitEntry(
        limit=limit,
        bound=bound,
        wanted=wanted,
        measured=None,
        low=None,
        high=None,
        n=0,
        decision="cannot conclude",
        why=why,
    )


def _entry(
    limit: str, bound: Bound, wanted: float, measure: Measure, decision: Decision
) -> LimitEntry:
    return LimitEntry(
        limit=limit,
        bound=bound,
        wanted=wanted,
        measured=finite(measure.value),
        low=finite(measure.low),
        high=finite(measure.high),
        n=measure.n,
        decision=decision,
        why=_why(bound, wanted, measure, decision),
    )


def _why(bound: Bound, wanted: float, measure: Measure, decision: Decision) -> str:
    """Which end of the interval decided, or what would decide."""
    if not measure.n:
        return f"{measure.words}; {measure.more}"
    if decision == "cannot conclude":
        spans = f"{shown(measure.low)} to {shown(measure.high)} (n = {measure.n}) spans {wanted:g}"
        return f"{measure.words}; {measure.interval} {spans}: {measure.more}"
    if measure.low == measure.high:
        beyond = "" if math.isfinite(measure.low) else f" ({shown(measure.low)})"
        return f"{measure.words}{beyond}; {bound} {wanted:g} is asked for"
    end = measure.high if (bound == "at most") == (decision == "pass") else measure.low
    side = "upper" if end == measure.high else "lower"
    return (
        f"{measure.words}; the {side} end of {measure.interval} is {shown(end)} (n = {measure.n}),"
        f" {bound} {wanted:g} is asked for"
    )


def opening(count: int, total: int, what: str) -> str:
    """How many of so many open: "1 of 24 random branches opens"."""
    return f"{count} of {total} {what} {'opens' if count == 1 else 'open'}"


def shown(value: float) -> str:
    """An end of an interval; beyond the ladder in words."""
    return f"{value:.3g}" if math.isfinite(value) else "beyond the ladder"
