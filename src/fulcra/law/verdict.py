"""Open or closed: by observation alone, by the law from two edges, and why one is closed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fulcra.formulas.intervals import log2_margin, wilson
from fulcra.law.edges import HALF, Happened, rates
from fulcra.types import Edge, FailureMode, Verdict

#: Share of the random controls that must open later, or never, for an opening to be specific.
SPECIFIC_SHARE = 0.95


class Observation(NamedTuple):
    """What confirmation rollouts show of one branch: the truth, which never uses a ceiling."""

    open: bool
    smallest_open_gain: float | None
    verdict: Verdict


def observe(gains: Sequence[float], flipped: Happened, level: float = 0.95) -> Observation:
    """Whether half of the confirmation rollouts are flipped and coherent at some gain.

    `flipped` is [gain, prompt] of typed outcomes (coherent by their precedence), leaking prompts
    left out, nan where nothing was rolled out. Undetermined when the interval of the best gain's
    rate spans one half, of 95 % unless another `level` is planned.
    """
    if flipped.shape[1] == 0:
        return Observation(False, None, "undetermined")
    shares = rates(flipped).tolist()
    opened = [gain for gain, rate in zip(gains, shares, strict=True) if rate >= HALF]
    best = flipped[int(np.nanargmax(shares))].astype(float)
    interval = wilson(int(np.nansum(best)), int(np.isfinite(best).sum()), level)
    spans = interval.low < HALF < interval.high
    return Observation(
        bool(opened),
        opened[0] if opened else None,
        "undetermined" if spans else "open" if opened else "closed",
    )


def law_verdict(ceiling: Edge, trigger: Edge) -> Verdict:
    """The control-window law: open exactly when the trigger is reached, and below the ceiling."""
    if trigger.gain is None:
        return "closed"
    return "open" if ceiling.gain is None or trigger.gain < ceiling.gain else "closed"


def margin(ceiling: Edge, trigger: Edge) -> float | None:
    """log2(ceiling gain / trigger gain); None where an edge is censored."""
    return log2_margin(ceiling.gain, trigger.gain)


def failure_mode(
    earlier: Edge | None, ceiling: Edge, trigger: Edge, cap_alignment: float | None = None
) -> FailureMode:
    """Why a branch is closed.

    norm_capped: the post-MLP norm lets no dose reach the trigger alignment, or either edge at all.
    too_late: the same direction, written earlier (`earlier`), flips the behavior. Otherwise the
    text collapses first.
    """
    if cap_alignment is not None:
        unreached = trigger.alignment is None and ceiling.gain is None
        if unreached or (trigger.alignment is not None and cap_alignment < trigger.alignment):
            return "norm_capped"
    if (
        earlier is not None
        and earlier.gain is not None
        and (ceiling.gain is None or earlier.gain < ceiling.gain)
    ):
        return "too_late"
    return "collapse_first"


def specific(smallest_open_gain: float | None, controls: Sequence[float | None]) -> bool | None:
    """Whether 95 % of the random controls open later than this branch, or never.

    None for an unopened branch, or without controls.
    """
    if smallest_open_gain is None or not controls:
        return None
    later = [gain is None or gain > smallest_open_gain for gain in controls]
    return sum(later) >= SPECIFIC_SHARE * len(later)
