"""Sets of neurons beside each other and in depth: how much they share, and what chance would give
(paper B, tables 6-8).
"""

from collections.abc import Hashable, Sequence, Set
from math import ceil
from typing import NamedTuple

from scipy.stats import hypergeom

from fulcra.errors import InputError


class Overlap(NamedTuple):
    """Members two sets share, the mean of two random sets of these sizes, and the chance that those
    share as many or more.
    """

    shared: int
    expected: float
    p: float


class Depth(NamedTuple):
    """Shares of a set that lie in the final three layers, the final quarter and the final tenth of
    them (rounded up).
    """

    final_three: float
    final_quarter: float
    final_tenth: float


def overlap(one: Set[Hashable], other: Set[Hashable], total: int) -> Overlap:
    """The overlap of two sets drawn from `total` members: hypergeometric, p = P(X >= shared)."""
    if not max(len(one), len(other)) <= total:
        raise InputError(
            f"overlap() got sets of {len(one)} and {len(other)} members of {total}: a set cannot be"
            " larger than the whole"
        )
    shared = len(one & other)
    return Overlap(
        shared,
        len(one) * len(other) / total,
        float(hypergeom.sf(shared - 1, total, len(one), len(other))),
    )


def depth(layers: Sequence[int], n_layers: int) -> Depth:
    """Where in depth a set's members lie, from the layer of each."""
    if not layers:
        raise InputError("depth() got an empty set; give at least one neuron")
    lasts = (min(3, n_layers), ceil(n_layers / 4), ceil(n_layers / 10))
    return Depth(
        *(sum(layer >= n_layers - last for layer in layers) / len(layers) for last in lasts)
    )
