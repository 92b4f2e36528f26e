"""What the design of a study does not name, as tables of its page, group by group."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fulcra.report.chances_page import called_where
from fulcra.report.depth_sheets import between
from fulcra.report.notation import UNKNOWN, fixed, number, rate
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.study import Beside, StudyResult

#: How many of the likeliest branches a row of the last table measures.
TOPS = (32, 128, 512)
#: The share of all open branches that is nearly all of them.
NEARLY = 0.98


def beside_sheets(study: "StudyResult") -> dict[str, list[str]]:
    """Every table of what stands beside a design, in Markdown, by its name in the template."""
    sheets = {
        "ends": ends_sheet(study),
        "learned": learned_sheet(study),
        "guards": guards_sheet(study),
        "tops": tops_sheet(study),
    }
    return {name: sheet.markdown() for name, sheet in sheets.items()}


def ends_sheet(study: "StudyResult") -> Sheet:
    """The macro-F1 of under, open and over, group by group."""
    rows = [
        (name, *(between(score) for score in beside.ends.values()))
        for name, beside in study.beside.items()
    ]
    ways = next((tuple(beside.ends) for beside in study.beside.values()), ())
    return Sheet(("lineages", *ways), rows, numbers=ways)


def learned_sheet(study: "StudyResult") -> Sheet:
    """The chances beside rivals that were turned into chances on the other lineages."""
    rows = [
        (
            name,
            f"**{rival}**" if rival == "chances" else rival,
            number(score.brier),
            number(score.log_loss),
            fixed(score.average_precision, 3),
            UNKNOWN if score.low is None else f"{fixed(score.low, 3)}-{fixed(score.high, 3)}",
            fixed(score.auroc, 3),
        )
        for name, beside in study.beside.items()
        for rival, score in beside.learned.items()
    ]
    columns = ("lineages", "chance by", "Brier", "log loss", "AP", "95 %", "AUROC")
    return Sheet(columns, rows, numbers=columns[2:])


def guards_sheet(study: "StudyResult") -> Sheet:
    """The calls of every fixed rule, group by group."""
    rows = [
        (name, called_where(rule), f"{calls.called:.0f}", rate(calls.precision), rate(calls.recall))
        for name, beside in study.beside.items()
        for rule, calls in beside.guards.items()
    ]
    columns = ("lineages", "called open where", "branches called", "of them open", "of all open")
    return Sheet(columns, rows, numbers=columns[2:])


def tops_sheet(study: "StudyResult") -> Sheet:
    """What measuring the likeliest branches of the pools together finds, group by group."""
    rows = [(name, *_found(beside)) for name, beside in study.beside.items() if beside.tops]
    columns = (
        "lineages",
        *(f"open ones in the likeliest {k}" for k in TOPS),
        *("branches for 98 % of them", "of all branches", "tokens at most"),
    )
    return Sheet(columns, rows, numbers=columns[1:])


def _found(beside: "Beside") -> Iterator[str]:
    shares = {top.k: top.found for top in beside.tops}
    yield from (rate(shares.get(k)) for k in TOPS)
    nearly = next((top for top in beside.tops if top.found >= NEARLY), beside.tops[-1])
    yield from (f"{nearly.k:,}", f"{100 * nearly.share:.2g}%", f"{nearly.tokens:,}")
