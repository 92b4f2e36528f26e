"""Interleaved pairs, ours and a peer's, in CPU seconds, the peer against itself as the null."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch

Work = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of results.json.

    ratio = peer / ours, overhead = ours / peer; medians of pairs, the ratio with its interval.
    `null_low` and `null_high` are the interval of the peer against itself, measured in the same
    rounds. A figure that has no peer has none of them.
    """

    name: str
    ours_s: float
    peer: str
    peer_s: float | None
    ratio: float | None
    overhead: float | None
    low: float | None
    high: float | None
    null_low: float | None
    null_high: float | None
    equal_results: bool | None

    def json(self) -> dict[str, Any]:
        """The row with four significant digits."""
        return {
            key: float(f"{value:.4g}") if isinstance(value, float) else value
            for key, value in asdict(self).items()
        }


def taken(work: Work) -> tuple[float, Any]:
    """CPU seconds of all threads, and the result.

    Wall seconds where an accelerator does the work.
    """
    if not torch.cuda.is_initialized():
        start = time.process_time()
        result = work()
        return time.process_time() - start, result
    torch.cuda.synchronize()
    start = time.perf_counter()
    result = work()
    torch.cuda.synchronize()
    return time.perf_counter() - start, result


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """The order-statistics interval of the median that covers 95 %.

    The range where there are fewer than six values.
    """
    ranked, n = sorted(values), len(values)
    outside, cut = 0.0, 0
    while cut < n // 2 and (outside := outside + 2 * math.comb(n, cut) / 2**n) <= 0.05:
        cut += 1
    return ranked[max(cut - 1, 0)], ranked[n - max(cut, 1)]


def compare(
    name: str,
    peer_name: str,
    rounds: Iterable[tuple[Work, Work]],
    equal: Callable[[Any, Any], bool],
) -> Row:
    """A row from rounds of (ours, peer), each run as peer, ours, peer.

    What they return is compared in every round.
    """
    ratios, nulls, mine, theirs, same = [], [], [], [], True
    for ours, peer in rounds:
        before, _ = taken(peer)
        own, result = taken(ours)
        after, expected = taken(peer)
        ratios.append((before + after) / 2 / own)
        nulls.append(before / after)
        mine.append(own)
        theirs.append((before + after) / 2)
        same = same and equal(result, expected)
    low, high = median_interval(ratios)
    ratio = median(ratios)
    row = Row(
        name,
        median(mine),
        peer_name,
        median(theirs),
        ratio,
        1 / ratio,
        low,
        high,
        *median_interval(nulls),
        same,
    )
    print(row.json(), flush=True)
    return row


def alone(name: str, ours: Work) -> tuple[Row, Any]:
    """A row without a peer, and what it returned."""
    seconds, result = taken(ours)
    row = Row(name, seconds, "-", *[None] * 8)
    print(row.json(), flush=True)
    return row, result
