"""The back-test as a documentation page, its plots and a terminal table; computes nothing."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from fulcra.report.figures.scatter import ScatterPoint, scatter
from fulcra.report.notation import UNKNOWN, number, span
from fulcra.report.sheet import Sheet
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.coherence import DetectorStudies, JudgedDamage, MeanInterval
    from fulcra.protocol.results.validation import CeilingScore, ValidationResult, VerdictScore

_METHOD = (
    "method",
    "tier",
    "MAE",
    "95 %",
    "bulk",
    "log2",
    "bias",
    "r",
    "r in layer",
    "n",
    "censored",
)
_LEVEL = (
    "level",
    "AUROC",
    "decided",
    "accuracy",
    "95 %",
    "majority",
    "p",
    "balanced",
    "MCC",
    "Brier",
    "n",
    "open",
    "coverage",
    "undetermined wrong",
)
_TITLES = {"held_out": "held-out lineages", "development": "development lineages"}
#: The predictors whose ceilings are drawn against the measured ones.
_DRAWN = ("kl_ladder", "surprise_ladder")


def validation_table(result: "ValidationResult") -> Group:
    """Ceilings and verdicts of the part shown: held out, or development where nothing is."""
    subject = f"split {result.split_sha256[:16]} · {_TITLES[result.part]}"
    if result.reduced:
        subject += " · reduced: concludes nothing"
    ceilings = ceiling_sheet(result.ceilings.of(result.part) or {})
    verdicts = verdict_sheet(result.verdicts.of(result.part) or {})
    return Group(Text(subject, "dim"), ceilings.rich(), verdicts.rich())


def ceiling_sheet(scores: "Mapping[str, CeilingScore]") -> Sheet:
    """One row a predictor of the ceiling."""
    rows = [
        [
            method,
            str(s.tier),
            number(s.mae),
            span(s),
            number(s.mae_bulk),
            number(s.mae_log2),
            UNKNOWN if s.bias_log2 is None else f"{s.bias_log2:+.2f}",
            number(s.correlation),
            number(s.within_layer_correlation),
            str(s.n),
            str(s.censored),
        ]
        for method, s in scores.items()
    ]
    return Sheet(_METHOD, rows, "ceilings", numbers=_METHOD[1:])


def verdict_sheet(scores: "Mapping[str, VerdictScore]") -> Sheet:
    """One row a level of the law's calls."""
    rows = [
        [
            level,
            number(s.auroc),
            number(s.auroc_decided),
            number(s.accuracy),
            span(s),
            number(s.majority_baseline),
            number(s.p_value),
            number(s.balanced_accuracy),
            number(s.mcc),
            number(s.brier),
            str(s.n),
            str(s.open),
            number(s.coverage),
            number(s.accuracy_undetermined_wrong),
        ]
        for level, s in scores.items()
    ]
    return Sheet(_LEVEL, rows, "verdicts", numbers=_LEVEL[1:])


def mean(estimate: "MeanInterval") -> str:
    """A mean with its interval in brackets, where it has one."""
    bracket = "" if span(estimate) == UNKNOWN else f" ({span(estimate)})"
    return f"{number(estimate.value)}{bracket}"


def validation_plots(result: "ValidationResult") -> dict[str, str]:
    """SVG drawings by name: predicted against measured ceilings of the best-known methods."""
    shown = {lineage.name for lineage in result.shown}
    rows = [row for row in result.rows.ceilings if row.lineage in shown]
    drawings = {}
    for method in _DRAWN:
        points = [
            ScatterPoint(row.measured, gain, row.lineage)
            for row in rows
            if row.measured is not None and (gain := row.predicted.get(method)) is not None
        ]
        axes = "measured ceiling [gain]", f"{method} [gain]"
        drawings[f"validation-{method}"] = scatter(points, *axes)
    return drawings


def validation_markdown(result: "ValidationResult") -> str:
    """The page docs/validation-tables.md; every figure on it stands in validation.json."""
    return filled(
        "validation.md",
        r=result,
        part=result.part,
        title=_TITLES[result.part],
        verdicts=result.verdicts.of(result.part) or {},
        baselines=result.baselines.of(result.part) or {},
        floor=result.noise_floor.of(result.part),
        plots=[f"validation-{method}" for method in _DRAWN],
        factors=_factors(result),
        steadiest=_steadiest(result),
        damages=_damages(result.detector),
        methods=lambda scores: _markdown(ceiling_sheet(scores or {})),
        levels=lambda scores: _markdown(verdict_sheet(scores)),
        number=number,
        span=span,
        mean=mean,
    )


def _markdown(sheet: Sheet) -> str:
    """The table in Markdown; a sentence where nothing was measured."""
    return "\n".join(sheet.markdown()) if sheet.rows else "Not measured."


def _factors(result: "ValidationResult") -> list[str]:
    """The factors by which the gain at collapse typically differs, each with where it does."""
    factors = result.universality.factors
    where = ("in a layer", "in a model", "between the means of models")
    return [f"{f:.2f} {words}" for f, words in zip(factors, where, strict=True) if f is not None]


def _steadiest(result: "ValidationResult") -> list[str]:
    """The units in which ceilings differ least, within and between models."""
    units = result.universality.steadiest
    where = ("within models", "between them")
    return [f"{words} in {unit}" for unit, words in zip(units, where, strict=True) if unit]


def _damages(detector: "DetectorStudies") -> "list[tuple[JudgedDamage, ...]]":
    """Every damage with its judgement on each model of stories."""
    return list(zip(*detector.damage.values(), strict=True))
