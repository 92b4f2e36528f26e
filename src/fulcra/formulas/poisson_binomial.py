"""How many of several independent events happen, each with a chance of its own."""

import numpy as np
from jaxtyping import Float

Chances = Float[np.ndarray, "event *at"]
Counts = Float[np.ndarray, "count *at"]
Before = Float[np.ndarray, "earlier *at"] | None


def count_chances(chances: Chances, before: Before = None) -> Counts:
    """The chance of every number of events that happen, 0 to n, float64.

    By convolution, event by event: exact, and of n^2 steps. `before` are the chances of further
    events counted already.
    """
    events, counted = len(chances), 0 if before is None else len(before) - 1
    counts = np.zeros((events + counted + 1, *chances.shape[1:]))
    counts[: counted + 1] = 1.0 if before is None else before
    for happens in chances:
        more = counts[: counted + 1] * happens
        counts[: counted + 1] -= more
        counts[1 : counted + 2] += more
        counted += 1
    return counts


def at_least(counts: Counts, least: int) -> Float[np.ndarray, "*at"]:
    """The chance that `least` events or more happen, of the chances of every number."""
    return np.asarray(counts[least:].sum(0).clip(0.0, 1.0))
