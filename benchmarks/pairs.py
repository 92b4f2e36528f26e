"""Interleaved pairs: ours and a peer's turn about, in CPU seconds, with the peer against itself as the null."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One line of results.json. ratio = peer / ours, overhead = ours / peer; medians of pairs, intervals of the ratio.

    `null_low` and `null_high` are the interval of the peer against itself, measured in the same rounds.
    """

    name: str
    ours_s: float
    peer: str
    peer_s: float
    ratio: float
    overhead: float
    low: float
    high: float
    null_low: float
    null_high: float
    equal_results: bool

    def json(self) -> dict[str, Any]:
        """The row with four significant digits."""
        return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in asdict(self).items()}


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of all threads, and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """The order-statistics interval of the median that covers 95 % where there are enough values, else their range."""
    ranked, n = sorted(values), len(values)
    outside, cut = 0.0, 0
    while cut < n // 2 and (outside := outside + 2 * math.comb(n, cut) / 2**n) <= 0.05:
        cut += 1
    return ranked[max(cut - 1, 0)], ranked[n - max(cut, 1)]


def compare(
    name: str,
    ours: Callable[[], Any],
    peer_name: str,
    peer: Callable[[], Any],
    equal: Callable[[Any, Any], bool],
    rounds: int,
    warm: bool = True,
) -> Row:
    """A row from `rounds` rounds of peer, ours, peer; results are compared once, before the clock is believed."""
    if warm:
        same = equal(ours(), peer())
    ratios, nulls, mine, theirs = [], [], [], []
    for _ in range(rounds):
        before, found = cpu_seconds(peer)
        own, result = cpu_seconds(ours)
        after, _ = cpu_seconds(peer)
        ratios.append((before + after) / 2 / own)
        nulls.append(before / after)
        mine.append(own)
        theirs.append((before + after) / 2)
    if not warm:
        same = equal(result, found)
    low, high = median_interval(ratios)
    ratio = median(ratios)
    return Row(name, median(mine), peer_name, median(theirs), ratio, 1 / ratio, low, high, *median_interval(nulls), same)
