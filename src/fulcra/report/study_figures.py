"""A registered study in two drawings: its forecast ceilings, and its chances at their word."""

from typing import TYPE_CHECKING

from fulcra.report.figures.reliability import calibrated, reliability
from fulcra.report.figures.scatter import ScatterPoint, scatter

if TYPE_CHECKING:
    from fulcra.protocol.results.chances import ChanceScore
    from fulcra.protocol.results.study import StudyResult

HELD_OUT = "held_out"
#: What tells the two drawings apart in their names.
CEILINGS, CHANCES = "ceilings", "chances"


def drawing(study: "StudyResult", about: str) -> str:
    """Where a drawing stands beside the page."""
    return f"images/{study.design.name}-{about}.svg"


def drawings(study: "StudyResult") -> dict[str, str]:
    """SVG drawings of the held-out lineages by file name; what was not measured has none."""
    group = study.groups.get(HELD_OUT)
    drawn = {}
    if group is not None and group.ceilings is not None:
        drawn[drawing(study, CEILINGS)] = _ceilings(study, group.lineages)
    if group is not None and group.verdicts is not None:
        drawn[drawing(study, CHANCES)] = _chances(group.verdicts.chance)
    return drawn


def _ceilings(study: "StudyResult", lineages: tuple[str, ...]) -> str:
    """The tested forecast of every ceiling against the measured one, both on the ladder."""
    points = [
        ScatterPoint(row.measured, forecast, row.lineage)
        for row in study.rows.ceilings
        if row.lineage in lineages
        and row.measured is not None
        and (forecast := row.predicted.get(study.design.ceiling)) is not None
    ]
    return scatter(points, "measured ceiling [gain]", f"{study.design.ceiling} [gain]")


def _chances(score: "ChanceScore") -> str:
    """The calibration curve of the pooled chances."""
    axes = "forecast chance to be observed open", "share observed open"
    return reliability(calibrated(score, HELD_OUT), *axes)
