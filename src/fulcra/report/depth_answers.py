"""The questions beneath the law, answered by the rules that the design of a study registered."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.bounded import Bounded
    from fulcra.protocol.results.depth import Coordinates, Depth

#: `the opposite`: the whole interval lies below what chance gives.
YES, NO, OPPOSITE, UNDECIDED = "yes", "no", "the opposite", "undecided"


def answers_sheet(depth: "Depth") -> Sheet:
    """Every question with its answer on one group of lineages."""
    return Sheet(("question", "answer"), list(answers(depth)))


def answers(depth: "Depth") -> Iterator[tuple[str, str]]:
    """Every question; no where its interval holds what chance gives, undecided without one."""
    reasons, poles, behaviors = depth.reasons, depth.poles, depth.behaviors
    half = "over half of their replies"
    yield f"collapse_first: past the ceiling {half} have collapsed", above(reasons.collapsed, 0.5)
    yield f"norm_capped: at the last rung {half} are unchanged", above(reasons.unchanged, 0.5)
    yield "too_late: deeper than other closed branches of the case", above(reasons.deeper, 0.5)
    yield "one pole's ceiling ranks the other's within a layer", above(poles.ceilings, 0.0)
    yield "it tells the other's better than the layer does", above(poles.over_layer, 0.0)
    yield from _triggers("pole", poles.triggers.rho, poles.triggers.lift)
    yield "alignment carries a ceiling over best, within a case", best(depth.coordinates, "within")
    yield "the same between lineages", best(depth.coordinates, "across")
    yield from _triggers("behavior", behaviors.forecast.rho, behaviors.forecast.lift)
    closer = above(behaviors.apart, 0.0) if behaviors.decided else UNDECIDED
    yield "under two behaviors ceilings lie closer than triggers", closer


def _triggers(of: str, rho: "Bounded", lift: "Bounded") -> Iterator[tuple[str, str]]:
    """What the forecast trigger of one pole, or under one behavior, tells of the other's."""
    yield f"forecast odds under one {of} rank those under the other", above(rho, 0.0)
    yield f"what opens under one {of} is likelier to open under the other", above(lift, 1.0)


def above(figure: "Bounded", bound: float) -> str:
    """Whether the whole interval lies above a bound, or below it; undecided without one."""
    if figure.low is None or figure.high is None:
        return UNDECIDED
    return YES if figure.low > bound else OPPOSITE if figure.high < bound else NO


def best(figures: "Coordinates", level: str) -> str:
    """Whether every other unit's level is clearly worse than alignment's."""
    carried = figures.within if level == "within" else figures.across
    others = [each.over_alignment for each in carried.values() if each.over_alignment is not None]
    worse = [above(other, 0.0) for other in others]
    if not worse or UNDECIDED in worse:
        return UNDECIDED
    return YES if set(worse) == {YES} else NO
