"""The targets of a registered study on its figures: met, missed, or not decided."""

from collections.abc import Callable, Mapping

from fulcra.backtest.registered_scores import HELD_OUT, RIVAL
from fulcra.protocol.results.design import Design, Wanted
from fulcra.protocol.results.study import CeilingFigures, Group, VerdictFigures
from fulcra.protocol.results.validation import Target

#: Open branches from which on a lineage is asked for its precision at 32.
ENOUGH = 32


def study_targets(design: Design, groups: Mapping[str, Group]) -> tuple[Target, ...]:
    """Every target of the design on the lineages nobody had looked at, met, missed or untested."""
    whole = groups[HELD_OUT]
    return (
        *_ceiling_targets(design, whole.ceilings),
        *_level_targets(design.wanted, whole.verdicts),
        *_chance_targets(design.wanted, whole.verdicts),
        _precision_target(design, groups),
    )


def _target(claim: str, value: float | None, met: bool | None) -> Target:
    number = "not measured" if value is None else f"{value:.3g}"
    return Target(claim=claim, found=number, met=None if value is None else met)


def _least(claim: str, value: float | None, bound: float) -> Target:
    return _target(f"{claim} >= {bound:g}", value, value is not None and value >= bound)


def _most(claim: str, value: float | None, bound: float) -> Target:
    return _target(f"{claim} <= {bound:g}", value, value is not None and value <= bound)


def _below(claim: str, p: float | None, bound: float) -> Target:
    return _target(f"{claim}, p < {bound:g}", p, p is not None and p < bound)


def _ceiling_targets(design: Design, figures: CeilingFigures | None) -> list[Target]:
    """The tested forecast's error; a smaller one within its noise leaves its rival undecided."""
    wanted, name = design.wanted, design.ceiling
    mae = None if figures is None else figures.scores[name].mae
    p = None if figures is None else figures.better_p
    smaller = _below(f"{name}: a smaller error than {RIVAL}'s, same branches", p, wanted.ceiling_p)
    if not smaller.met and figures is not None and (figures.better or 0.0) > 0:
        smaller = smaller.model_copy(update={"met": None})
    return [_most(f"{name}: MAE in cos", mae, wanted.ceiling_mae), smaller]


def _level_targets(wanted: Wanted, figures: VerdictFigures | None) -> list[Target]:
    """How the law with measured edges ranks what opens; undecided where too few opened."""
    opened = _read(figures, lambda each: float(each.open))
    area = _read(figures, lambda each: each.ranks["L3"].value)
    width = _read(figures, lambda each: each.ranks["L3"].half_width)
    p = _read(figures, lambda each: each.over_trigger_p)
    first = _least("branches observed open", opened, wanted.open)
    ranks = [
        _least("L3: AUROC for observed open", area, wanted.l3_auroc),
        _most("L3: half of its interval", width, wanted.l3_half_width),
        _below("L3: above the trigger alone", p, wanted.l3_over_trigger_p),
    ]
    if not first.met:
        ranks = [target.model_copy(update={"met": None}) for target in ranks]
    return [first, *ranks]


def _chance_targets(wanted: Wanted, figures: VerdictFigures | None) -> list[Target]:
    """How well chances rank, and how far they can be taken at their word."""
    precision = _read(figures, lambda each: each.chance.average_precision)
    error = _read(figures, lambda each: each.chance.calibration_error)
    likely = _read(figures, lambda each: each.chance.likely_error)
    ratio = _read(figures, lambda each: each.ratio.value)
    plain = _read(figures, lambda each: each.chance.brier_p)
    by_case = _read(figures, lambda each: each.case_brier_p)
    low, high = wanted.forecast_ratio
    between = ratio is not None and low <= ratio <= high
    return [
        _least("chances: average precision", precision, wanted.precision),
        _most("chances: calibration error", error, wanted.calibration_error),
        _most("chances: calibration error from .1 on", likely, wanted.likely_error),
        _target(f"chances: forecast over observed, {low:g} to {high:g}", ratio, between),
        _below("chances: Brier below the prevalence's", plain, wanted.brier_p),
        _below("chances: Brier below that of each case's prevalence", by_case, wanted.brier_p),
    ]


def _read(
    figures: VerdictFigures | None, read: Callable[[VerdictFigures], float | None]
) -> float | None:
    """A figure where any were made."""
    return None if figures is None else read(figures)


def _precision_target(design: Design, groups: Mapping[str, Group]) -> Target:
    """The lowest precision at 32 of the lineages in which enough branches opened."""
    unseen = [each.name for each in design.held_out if each.name not in design.apart]
    figures = [groups[name].verdicts for name in unseen]
    precisions = [each.chance.precision_32 for each in figures if each and each.open >= ENOUGH]
    claim = f"chances: precision at 32, lowest of the {len(precisions)} lineages with {ENOUGH} open"
    return _least(claim, min(precisions, default=None), design.wanted.precision_32)
