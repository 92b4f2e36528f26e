"""Sets of neurons beside each other and in depth, against chance (paper B, tables 6-8)."""

from collections.abc import Hashable, Sequence, Set
from math import ceil
from typing import NamedTuple

from fulcra.errors import InputError


class Overlap(NamedTuple):
    """Members that two sets share, the mean of random sets, and the chance of as many or more."""

    shared: int
    expected: float
    p: float


class Depth(NamedTuple):
    """Shares of a set in the final three layers, and in the final quarter and tenth, rounded up."""

    final_three: float
    final_quarter: float
    final_tenth: float


def overlap(left: Set[Hashable], right: Set[Hashable], total: int) -> Overlap:
    """The overlap of two sets drawn from `total` members: hypergeometric, p = P(X >= shared)."""
    if not max(len(left), len(right)) <= total:
        raise InputError(
            f"overlap() got sets of {len(left)} and {len(right)} members of {total}: a set cannot"
            " be larger than the whole"
        )
    # here, since scipy.stats takes half a second to import and only `compare` needs it
    from scipy.stats import hypergeom

    shared, expected = len(left & right), len(left) * len(right) / total
    chance = float(hypergeom.sf(shared - 1, total, len(left), len(right)))
    return Overlap(shared, expected, chance)


def depth(layers: Sequence[int], n_layers: int) -> Depth:
    """Where in depth a set's members lie, from the layer of each."""
    if not layers:
        raise InputError("depth() got an empty set; give at least one neuron")
    lasts = (min(3, n_layers), ceil(n_layers / 4), ceil(n_layers / 10))
    shares = (sum(layer >= n_layers - last for layer in layers) / len(layers) for last in lasts)
    return Depth(*shares)
