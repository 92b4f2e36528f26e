"""Numbers as the report prints them; an unknown one is a dash, an edge beyond the ladder says
so.
"""

import math
from collections.abc import Mapping
from typing import Any

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


def interval(estimate: Mapping[str, Any]) -> str:
    """The interval of a rate and its number of observations: "81 to 100%, n = 16", the "to" a
    dash.
    """
    low, high, n = (estimate.get(key) for key in ("low", "high", "n"))
    parts = [] if low is None or high is None else [f"{100 * low:.0f}\N{EN DASH}{rate(high)}"]
    return ", ".join(parts + ([] if n is None else [f"n = {n}"])) or UNKNOWN


def edge(value: Mapping[str, Any] | None) -> str:
    """The gain of an edge: a number, "> ladder" where it is censored, "none" where it was not
    measured.
    """
    if value is not None and value.get("gain") is None and value.get("censored"):
        return BEYOND
    return gain(None if value is None else value.get("gain"))


def of(score: Mapping[str, Any] | None) -> str:
    """A count beside its denominator: "40 of 47"."""
    return UNKNOWN if not score else f"{score['agree']} of {score['n']}"


def yes_no(value: bool | None) -> str:
    """A truth value in a word."""
    return UNKNOWN if value is None else "yes" if value else "no"


def attack(name: str) -> str:
    """The attack's name in words: "prefill_8" is "prefill, 8 tokens"."""
    if name.startswith("prefill_"):
        count = name.removeprefix("prefill_")
        return f"prefill, {count} token{'' if count == '1' else 's'}"
    return name.replace("_", " ")
