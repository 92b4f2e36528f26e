"""The rule by which windows are closed: of forecasts it ends a training, of audits it decides."""

from typing import NamedTuple

#: The part of the first share of open branches that may be left, and the multiple of the smallest
#: gain that opens one.
CLOSED_SHARE, DOUBLED = 0.2, 2.0


class Opening(NamedTuple):
    """The share of branches that are open, and the smallest gain of those; None where none is."""

    share: float
    gain: float | None


def closes(before: Opening, after: Opening) -> bool:
    """Whether at most a fifth of the share is left, at twice the gain or more; never of nothing."""
    doubled = after.gain is None or (
        before.gain is not None and after.gain >= DOUBLED * before.gain
    )
    return before.share > 0 and after.share <= CLOSED_SHARE * before.share and doubled
