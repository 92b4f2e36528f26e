"""A recipe study in the terminal and as Markdown: one row an organism, then what goes with what."""

from typing import TYPE_CHECKING

from fulcra.report.notation import number
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fulcra.defence.recipes.entries import RecipeRow, RecipesResult
    from fulcra.protocol.results.organism_ladder import RankCorrelation

#: The attacks that stand beside, by the name an audit has for them.
ATTACKS = ("prefill_1", "prefill_8", "direction_ablation")
UNDO = "undone in"


def recipes_table(result: "RecipesResult") -> "RenderableType":
    """The tables of a recipe study in the terminal."""
    from rich.console import Group

    return Group(rows_sheet(result).rich(), "", figures_sheet(result).rich())


def rows_sheet(result: "RecipesResult") -> Sheet:
    """One row an organism, in the order of the freedom of its change."""
    numbers = ("freedom", "screened open", "smallest open gain", "margin [nats]", *ATTACKS, UNDO)
    rows = [
        (
            row.organism + ("" if row.audit.reproduced else " (no verdict)"),
            row.way,
            number(row.freedom),
            f"{row.audit.open_screened} of {row.audit.screened}",
            number(row.audit.smallest_open_gain),
            number(row.audit.margin),
            *(number(_rate(row, attack)) for attack in ATTACKS),
            "-" if row.audit.undo is None else row.audit.undo.words,
        )
        for row in sorted(result.rows, key=lambda row: row.freedom)
    ]
    return Sheet(("organism", "way", *numbers), rows, numbers=numbers)


def figures_sheet(result: "RecipesResult") -> Sheet:
    """Both correlations, over all sound organisms and over those that met their rule."""
    rows = [
        (figures.of, what, number(rise.rho), _interval(rise), number(rise.p_value), str(rise.n))
        for figures in result.figures
        for what, rise in (
            ("smallest open gain", figures.gain),
            ("screened branches not open", figures.closed),
        )
    ]
    return Sheet(("over", "freedom with", "rho", "95 %", "p of no rise", "n"), rows)


def _rate(row: "RecipeRow", attack: str) -> float | None:
    return next((each.rate for each in row.audit.attacks if each.attack == attack), None)


def _interval(rise: "RankCorrelation") -> str:
    return f"{number(rise.low)} to {number(rise.high)}"
