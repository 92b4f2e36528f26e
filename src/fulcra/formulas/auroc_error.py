"""The standard error of an AUROC before it is measured: how many cases a study needs."""

import math
from statistics import NormalDist

from fulcra.errors import InputError


def auroc_half_width(auroc: float, positives: int, negatives: int, level: float = 0.95) -> float:
    """Half of the interval around an AUROC, from as many independent cases of either kind.

    By the exponential approximation of Hanley and McNeil (1982). Cases that come in clusters need
    more: multiply by the root of their design effect. InputError for counts below 1 or an AUROC
    outside [0, 1].
    """
    if not 0 <= auroc <= 1 or min(positives, negatives) < 1:
        raise InputError(
            f"auroc_half_width() got {auroc:g} of {positives} and {negatives}: expected an AUROC in"
            " [0, 1] and a case of either kind"
        )
    both_positive = auroc / (2 - auroc)
    both_negative = 2 * auroc**2 / (1 + auroc)
    variance = auroc * (1 - auroc)
    variance += (positives - 1) * (both_positive - auroc**2)
    variance += (negatives - 1) * (both_negative - auroc**2)
    error = math.sqrt(max(variance, 0.0) / (positives * negatives))
    return NormalDist().inv_cdf(0.5 + level / 2) * error
