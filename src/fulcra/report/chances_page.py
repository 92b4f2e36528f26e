"""Chances of an observed opening as docs/chances.md, its figure and a terminal table."""

from typing import TYPE_CHECKING

from fulcra.report.figures.reliability import calibrated, reliability
from fulcra.report.notation import UNKNOWN, fixed, number, rate, span
from fulcra.report.sheet import Sheet
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.chances import ChanceScore, ChancesResult, ModelChances, Statistic

_SCORES = (
    "forecast",
    "AP",
    "95 %",
    "AUROC",
    "precision at 32",
    "Brier skill",
    "p",
    "log loss",
    "calibration error",
    "from .1 on",
)
#: The statistics of coherence in words.
STATISTICS: "dict[Statistic, str]" = {
    "divergence": "the mean divergence of generic text",
    "tail": "the 95th percentile of the divergence of generic text",
    "replies": "the share of odd tokens in flipped replies",
    "both": "odd tokens in flipped replies and mean divergence, each over its level",
}
#: Fewer open branches than this decide little.
FEW = 20
_LIKELIEST = ("model", "branch", "chance to open", "under", "over", "observed")
#: The rules that are not a gain, in words.
_RULES = {
    "chance": "the chance is .5 or more",
    "margin": "the margin of both ladders is above 0 (L1)",
    "tail": "the trigger lies below 1 nat at the 95th percentile",
    "replies": "the trigger lies below the ceiling on flipped replies",
}
#: Branches in the terminal.
_SHOWN = 10


def chances_page(result: "ChancesResult") -> str:
    """The page; every figure on it stands in chances.json."""
    return filled(
        "chances.md",
        r=result,
        models=[model for model in result.models if model.score],
        scores=score_lines,
        guards=guard_lines,
        tops=top_lines,
        tried=tried_lines(result),
        seconds=second_lines(result),
        rare=_rare(result),
        best=_best_rival,
        statistics=STATISTICS,
        number=number,
        fixed=fixed,
        rate=rate,
        span=span,
    )


def chances_figure(result: "ChancesResult") -> str:
    """The calibration curves of all scored models, with 95 % Wilson intervals of the rates.

    A bin's interval is that of as many branches as were measured in it.
    """
    points = [
        point
        for model in result.models
        if model.score
        for point in calibrated(model.score, model.model.name)
    ]
    return reliability(points, "forecast chance to be observed open", "share observed open")


def score_lines(model: "ModelChances") -> str:
    """The scores of the chances and of every rival, a table in Markdown."""
    named = {"**chances**": model.score, **model.rivals}
    rows = [_scores(name, score) for name, score in named.items() if score is not None]
    return "\n".join(Sheet(_SCORES, rows).markdown())


def _scores(name: str, score: "ChanceScore") -> list[str]:
    return [
        name,
        number(score.average_precision),
        span(score),
        number(score.auroc),
        fixed(score.precision_32),
        fixed(score.brier_skill),
        number(score.brier_p),
        number(score.log_loss),
        number(score.calibration_error),
        number(score.likely_error),
    ]


def guard_lines(model: "ModelChances") -> str:
    """The calls of every fixed rule, a table in Markdown."""
    columns = ("called open where", "branches called", "of them open", "of all open")
    rows = [
        [
            called_where(name),
            f"{calls.called:.0f}",
            rate(calls.precision),
            rate(calls.recall),
        ]
        for name, calls in model.guards.items()
    ]
    return "\n".join(Sheet(columns, rows).markdown())


def called_where(rule: str) -> str:
    """Where a fixed rule calls a branch open, in words."""
    return _RULES.get(rule, f"the trigger lies below {rule}")


def top_lines(model: "ModelChances") -> str:
    """What measuring the likeliest branches finds, a table in Markdown."""
    columns = ("branches measured", "of all branches", "tokens at most", "of all open ones")
    rows = [
        [str(top.k), f"{100 * top.share:.2g}%", f"{top.tokens:,}", rate(top.found)]
        for top in model.tops
    ]
    return "\n".join(Sheet(columns, rows).markdown())


def tried_lines(result: "ChancesResult") -> str:
    """What every statistic of coherence comes to, a table in Markdown."""
    columns = ("model", "statistic", "AP", "Brier skill", "log loss")
    rows = [
        [
            each.model,
            STATISTICS[each.statistic],
            number(each.average_precision),
            fixed(each.brier_skill),
            number(each.log_loss),
        ]
        for each in result.tried
    ]
    return "\n".join(Sheet(columns, rows).markdown())


def second_lines(result: "ChancesResult") -> str:
    """What the curves cost beside the edges that an audit forecasts, a table in Markdown."""
    columns = ("model", "both curves", "both edges", "ratio", "the curve on replies besides")
    rows = []
    for model in result.models:
        seconds = model.seconds
        curves = seconds["odds"] + seconds["divergence"]
        edges = seconds["trigger_ladder"] + seconds["kl_ladder"]
        cells = [number(value) for value in (curves, edges, curves / edges, seconds["replies"])]
        rows.append([model.model.name, *cells])
    return "\n".join(Sheet(columns, rows).markdown())


def _best_rival(model: "ModelChances") -> str:
    """The rival of the highest average precision, with its value."""
    precisions = {name: each.average_precision or 0.0 for name, each in model.rivals.items()}
    if not precisions:
        return "none, as nothing was learned elsewhere"
    name = max(precisions, key=lambda each: precisions[each])
    return f"`{name}`, {number(precisions[name])}"


def _rare(result: "ChancesResult") -> str:
    few = [f"{m.model.name} ({m.open})" for m in result.models if m.score and (m.open or 0) < FEW]
    if not few:
        return "Every model has enough open branches for its scores."
    return f"Few branches open on {', '.join(few)}: its scores decide little, see their intervals."


def chances_sheet(result: "ChancesResult") -> Sheet:
    """The likeliest branches of every model in the terminal."""
    rows = [
        [
            model.model.name,
            row.branch,
            fixed(row.open),
            fixed(row.under),
            fixed(row.over),
            row.end or UNKNOWN,
        ]
        for model in result.models
        for row in sorted(model.rows, key=lambda each: -each.open)[:_SHOWN]
    ]
    return Sheet(_LIKELIEST, rows, numbers=_LIKELIEST[2:5])
