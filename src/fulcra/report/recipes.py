"""A recipe study in the terminal and as a page: what goes with what, ways, organisms."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fulcra.report.notation import UNKNOWN, number, rate
from fulcra.report.sheet import Sheet
from fulcra.report.template import filled

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fulcra.defence.recipes.entries import RecipeRow, RecipesResult, WayFigures
    from fulcra.defence.recipes.figures import Figured
    from fulcra.protocol.results.organism_ladder import RankCorrelation

#: The attacks that stand beside, by the name an audit has for them, and numbers of neurons at once.
ATTACKS = ("prefill_1", "prefill_8", "direction_ablation")
COUNTS = (2, 4, 8)
#: What a rival of freedom is called on the page.
_RIVALS = {
    "given_margin": "freedom, given the margin",
    "given_steps": "freedom, given the steps (not registered)",
    "matrices": "matrices that moved",
    "norm": "relative norm of the change",
    "steps": "steps of the tuning",
    "margin": "margin",
}
#: What learns in each way, where it is one of the shipped design.
_LEARNS = {
    "k2": "two named neurons",
    "k3": "three named neurons",
    "k24": "twenty-four named neurons",
    "r1": "an adapter of rank 1 on every matrix of every block",
    "r4": "one of rank 4",
    "r16": "one of rank 16",
    "r64": "one of rank 64",
    "first": "the first two blocks",
    "last": "the last two blocks",
    "kl": "all weights, held to the model before on what is not refused",
    "dpo": "all weights, by preferences",
    "extended": "all weights, refusals with a reason",
    "dense": "all weights",
}


def recipes_table(result: "RecipesResult") -> "RenderableType":
    """What goes with what, and the ways, in the terminal; organisms stand on the page."""
    from rich.console import Group

    sheets = (figures_sheet(result), rivals_sheet(result), ways_sheet(result.ways))
    parts = [sheet.rich() for sheet in sheets]
    return Group(*(part for sheet in parts for part in (sheet, "")))


def recipes_page(result: "RecipesResult") -> str:
    """The page of a recipe study, every figure from its file."""
    sheets = {name: sheet.markdown() for name, sheet in recipe_sheets(result).items()}
    learns = {way: _LEARNS[way] for way in result.design.organisms if way in _LEARNS}
    prompts = max((each.n for row in result.rows for each in row.audit.attacks), default=0)
    return filled("recipes.md", result=result, sheets=sheets, learns=learns, prompts=prompts)


def recipe_sheets(result: "RecipesResult") -> dict[str, Sheet]:
    """Every table of a recipe study by its name."""
    return {
        "figures": figures_sheet(result),
        "rivals": rivals_sheet(result),
        "ways": ways_sheet(result.ways),
        "rows": rows_sheet(result),
        "beside": beside_sheet(result),
    }


def ways_sheet(ways: "Sequence[WayFigures]") -> Sheet:
    """One row a way, by the medians of its sound organisms, in the order of freedom.

    *opens at*: the smallest open gain.
    """
    numbers = ("sound", "freedom", "opens at", "share open", "matrices", "norm", "steps")
    rows = [
        (
            way.way,
            str(way.organisms),
            number(way.freedom),
            "none" if way.gain is None else number(way.gain),
            *map(number, (way.share, way.matrices, way.norm, way.steps, way.margin)),
        )
        for way in sorted(ways, key=lambda way: way.freedom)
    ]
    return Sheet(
        ("way", *numbers, "margin [nats]"),
        rows,
        numbers=(*numbers, "margin [nats]"),
        whole=("way",),
    )


def rows_sheet(result: "RecipesResult") -> Sheet:
    """One row an organism, in the order of the freedom of its change."""
    numbers = ("freedom", "norm", "steps", "screened open", "smallest open gain", "margin [nats]")
    rows = [
        (
            _name(row),
            row.way,
            *map(number, (row.freedom, row.norm)),
            _steps(row),
            f"{row.audit.open_screened} of {row.audit.screened}",
            number(row.audit.smallest_open_gain),
            number(row.audit.margin),
        )
        for row in _sorted(result)
    ]
    return Sheet(("organism", "way", *numbers), rows, numbers=numbers)


def beside_sheet(result: "RecipesResult") -> Sheet:
    """What other attacks do to each organism, and what it does with allowed requests."""
    attacks = (*ATTACKS, *(f"{count} together" for count in COUNTS), "undone in")
    numbers = (*attacks, "random open", "allowed exact", "over-refusal")
    rows = [
        (
            _name(row),
            *(number(_rate(row, attack)) for attack in ATTACKS),
            *(_together(row, count) for count in COUNTS),
            UNKNOWN if row.audit.undo is None else row.audit.undo.words,
            _upper(row),
            number(row.audit.accuracy),
            number(row.audit.over_refusal),
        )
        for row in _sorted(result)
    ]
    return Sheet(("organism", *numbers), rows, numbers=numbers)


def rivals_sheet(result: "RecipesResult") -> Sheet:
    """What else both outcomes may rise with, over ways."""
    gain, closed = result.figures[0].gain.rho, result.figures[0].closed.rho
    rows: list[tuple[str, ...]] = [("freedom", number(gain), number(closed))]
    for name, words in _RIVALS.items():
        pair = (getattr(each, name, None) for each in (result.rivals, result.rivals_closed))
        rows.append((words, *map(number, pair)))
    numbers = ("smallest open gain", "share not open")
    return Sheet(("rho over ways, with", *numbers), rows, numbers=numbers)


def repeated_sheet(results: "Sequence[RecipesResult]", whole: "Figured") -> Sheet:
    """What the smallest open gain rises with over ways: in each study, and in all as one."""
    names = [f"{result.design.name} ({len(result.rows)} organisms)" for result in results]
    every: list[RecipesResult | Figured] = [*results, whole]
    rows: list[tuple[str, ...]] = [
        ("freedom", *(number(each.figures[0].gain.rho) for each in every))
    ]
    for name, words in _RIVALS.items():
        rows.append((words, *(number(getattr(each.rivals, name)) for each in every)))
    rows.append(("ways with a verdict", *(str(len(each.ways)) for each in every)))
    numbers = (*names, "all, as one")
    return Sheet(("rho over ways, with", *numbers), rows, numbers=numbers)


def figures_sheet(result: "RecipesResult") -> Sheet:
    """Both correlations, over ways first, which decide."""
    rows = [
        (figures.of, what, number(rise.rho), _interval(rise), number(rise.p_value), str(rise.n))
        for figures in result.figures
        for what, rise in (
            ("smallest open gain", figures.gain),
            ("screened branches not open", figures.closed),
        )
    ]
    return Sheet(("over", "freedom with", "rho", "95 %", "p of no rise", "n"), rows)


def _sorted(result: "RecipesResult") -> "list[RecipeRow]":
    return sorted(result.rows, key=lambda row: row.freedom)


def _name(row: "RecipeRow") -> str:
    return row.organism + ("" if row.audit.reproduced else " (no verdict)")


def _steps(row: "RecipeRow") -> str:
    return (UNKNOWN if row.steps is None else str(row.steps)) + (
        ", rule not met" if row.met is False else ""
    )


def _together(row: "RecipeRow", count: int) -> str:
    """The gain at which so many neurons together open it."""
    entry = next((each for each in row.audit.several if each.count == count), None)
    return UNKNOWN if entry is None else "not" if entry.opens is None else number(entry.opens)


def _upper(row: "RecipeRow") -> str:
    """How many random branches open, and the upper bound of their share."""
    part = row.audit.prevalence
    if part.value is None or part.high is None:
        return UNKNOWN
    return f"{round(part.value * part.n)} of {part.n} ({rate(part.high)} at most)"


def _rate(row: "RecipeRow", attack: str) -> float | None:
    return next((each.rate for each in row.audit.attacks if each.attack == attack), None)


def _interval(rise: "RankCorrelation") -> str:
    return f"{number(rise.low)} to {number(rise.high)}"
