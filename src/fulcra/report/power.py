"""How many rollouts tell a rate from one half, and which rates so many rollouts tell from it.

Decided is what the verdict decides (law/verdict.py): the 95 % Wilson interval leaves one half out,
which is where a count lies further than z sqrt(n) / 2 from n / 2.
"""

import math
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fulcra.errors import InputError

#: The chance that numbers of rollouts are planned for, as is usual.
CHANCE = 0.8
#: No larger number of rollouts is looked at.
LARGEST = 2000
_Z = NormalDist().inv_cdf(0.975)


def fewest_open(n: int) -> int:
    """The fewest successes of n whose interval lies above one half; above n where none does."""
    return math.ceil(n / 2 + _Z * math.sqrt(n) / 2)


def chance_decided(rate: float, n: int) -> float:
    """The chance that n rollouts of a true rate decide whether it is above or below one half."""
    if not (0 <= rate <= 1 and n >= 0):
        raise InputError(f"chance_decided() got rate {rate:g}, n {n}: expected a rate and a count")
    least = fewest_open(n)
    if least > n:
        return 0.0
    chances = _chances(rate, n)
    return min(1.0, float(chances[least:].sum() + chances[: n - least + 1].sum()))


@cache
def prompts_to_decide(rate: float, chance: float = CHANCE) -> int | None:
    """The number of rollouts from which on a true rate is decided with so much chance.

    None above LARGEST, and at one half itself, which no number decides.
    """
    start = _surely_enough(rate, chance)
    if start is None:
        return None
    short = (n for n in range(start, 0, -1) if chance_decided(rate, n) < chance)
    last = next(short, 0)
    return last + 1 if last < LARGEST else None


def _surely_enough(rate: float, chance: float) -> int | None:
    """A number from which on the normal approximation leaves no doubt; None far above LARGEST."""
    apart = abs(rate - 0.5)
    if not apart:
        return None
    about = ((_Z + NormalDist().inv_cdf(chance)) / (2 * apart)) ** 2
    return None if about > 1.5 * LARGEST else min(LARGEST, math.ceil(1.3 * about) + 60)


@cache
def rate_resolved(n: int, chance: float = CHANCE) -> float | None:
    """The smallest true rate that n rollouts call open with so much chance; None of too few.

    One minus it is the largest rate called closed so surely.
    """
    least = fewest_open(n)
    if least > n:
        return None
    low, high = 0.5, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        enough = _chances(middle, n)[least:].sum() >= chance
        low, high = (low, middle) if enough else (middle, high)
    return high


def _chances(rate: float, n: int) -> NDArray[np.float64]:
    """The chance of every count of successes, 0 to n."""
    if rate in (0.0, 1.0):
        return np.where(np.arange(n + 1) == int(rate) * n, 1.0, 0.0)
    steps = np.arange(1, n + 1)
    logs = np.log((n + 1 - steps) / steps) + math.log(rate / (1 - rate))
    chances: NDArray[np.float64] = np.exp(
        n * math.log(1 - rate) + np.concatenate([[0.0], np.cumsum(logs)])
    )
    return chances
