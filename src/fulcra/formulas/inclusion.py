"""Unequal probability samples of a fixed size, and the weights that give the whole back."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fulcra.errors import InputError

Floats = NDArray[np.float64]


def inclusion_probabilities(sizes: ArrayLike, count: int) -> Floats:
    """The chance of each case to be drawn: in proportion to its size, none above 1, `count` in all.

    [case]. Cases that would be above 1 are drawn for certain and the rest shares what is left; all
    are certain where there are no more than `count`. The inverse is a case's weight (Horvitz and
    Thompson 1952). InputError where a size is not above 0.
    """
    wanted = np.asarray(sizes, float)
    if (wanted <= 0).any():
        raise InputError("inclusion_probabilities() got a size of 0 or less: add a floor to all")
    chances = np.ones(len(wanted))
    free = np.ones(len(wanted), bool)
    while count > 0 and free.sum() > (left := count - int((~free).sum())) > 0:
        chances[free] = left * wanted[free] / wanted[free].sum()
        certain = free & (chances >= 1)
        if not certain.any():
            break
        chances[certain], free = 1.0, free & ~certain
    return chances


def systematic_sample(chances: ArrayLike, seed: int | Sequence[int]) -> list[int]:
    """The cases drawn with these probabilities, in their order; as many as they sum to.

    Every 1 of the running sum draws one case, from a random start, the cases shuffled before
    (Madow 1949).
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(np.asarray(chances)))
    running = np.cumsum(np.asarray(chances, float)[order])
    # whole up to rounding, so that the last case is drawn where its sum says so
    points = rng.random() + np.arange(round(float(running[-1])))
    places = np.searchsorted(running, np.minimum(points, running[-1] - 1e-9), side="right")
    return sorted(int(i) for i in order[places])
