"""P-values corrected for how many were looked at together."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value as Holm (1979) corrects it, in the order given: errors of the family at most p.

    The k-th smallest of m is multiplied by m - k + 1, at most 1 and never below one before it.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, p_values[place] * (len(p_values) - rank)))
        corrected[place] = highest
    return corrected
