"""What goes with what, over ways of tuning and over organisms; from their rows alone."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from fulcra.defence.recipes.entries import (
    WITHOUT_FEW,
    FreedomGuess,
    RecipeDesign,
    RecipeFigures,
    RecipeRow,
    RecipesResult,
    Rivals,
    WayFigures,
)
from fulcra.defence.recipes.guess import freedom_guess
from fulcra.formulas.rank_correlation import correlations, spearman
from fulcra.protocol.results.organism_ladder import RankCorrelation

#: Fewest ways of which a partial correlation is made.
LEAST = 4


class Figured(NamedTuple):
    """Everything that recipes.json says of its rows."""

    ways: tuple[WayFigures, ...]
    figures: tuple[RecipeFigures, ...]
    rivals: Rivals
    rivals_closed: Rivals
    guess: FreedomGuess | None


def figured(design: RecipeDesign, rows: Sequence[RecipeRow]) -> Figured:
    """Every figure of the rows; an organism whose audit draws no verdict is in one alone."""
    sound, seed = [row for row in rows if row.audit.reproduced], design.size.seed
    ways = of_ways(sound)
    return Figured(
        ways,
        every_figure(design, rows),
        rivals_of(ways),
        rivals_of(ways, lambda way: -way.share),
        freedom_guess(sound, seed),
    )


def together(results: Sequence[RecipesResult]) -> Figured:
    """The figures of several studies of the same ways as if they were one; they decide nothing."""
    return figured(results[0].design, [row for result in results for row in result.rows])


def of_ways(rows: Sequence[RecipeRow]) -> tuple[WayFigures, ...]:
    """The ways of some rows in their order, each by its medians."""
    return tuple(
        _way([row for row in rows if row.way == way]) for way in dict.fromkeys(r.way for r in rows)
    )


def _way(rows: Sequence[RecipeRow]) -> WayFigures:
    gain = _median([row.gain for row in rows])
    return WayFigures(
        way=rows[0].way,
        organisms=len(rows),
        freedom=_median([row.freedom for row in rows]),
        gain=None if math.isinf(gain) else gain,
        share=_median([row.share for row in rows]),
        matrices=_median([row.matrices for row in rows]),
        norm=_median([row.norm for row in rows]),
        steps=_median_of_all([row.steps for row in rows]),
        margin=_median_of_all([row.audit.margin for row in rows]),
    )


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _median_of_all(values: Sequence[float | None]) -> float | None:
    """The median; None where one value is missing."""
    present = [value for value in values if value is not None]
    return _median(present) if len(present) == len(values) else None


def every_figure(design: RecipeDesign, rows: Sequence[RecipeRow]) -> tuple[RecipeFigures, ...]:
    """The figures in the order in which they decide: over the ways of sound organisms first."""
    seed, sound = design.size.seed, [row for row in rows if row.audit.reproduced]
    ways = of_ways(sound)
    return (
        _over_ways("ways", ways, seed),
        _over_ways(WITHOUT_FEW, [way for way in ways if way.way not in design.few], seed),
        _over_ways("ways, with what no control moves", of_ways(unmoved_last(rows)), seed),
        _over_ways("ways, by those that met their rule", of_ways(_met(sound)), seed),
        _figures(
            "organisms",
            [row.freedom for row in sound],
            [row.gain for row in sound],
            [row.share for row in sound],
            seed,
        ),
    )


def unmoved_last(rows: Sequence[RecipeRow]) -> list[RecipeRow]:
    """The sound rows, and with nothing open those that show the behavior and no control moves."""
    closed = {"smallest_open_gain": None, "open_screened": 0}
    return [
        row.model_copy(update={"audit": row.audit.model_copy(update=closed)})
        if row.unmoved
        else row
        for row in rows
        if row.audit.reproduced or row.unmoved
    ]


def _met(rows: Sequence[RecipeRow]) -> list[RecipeRow]:
    return [row for row in rows if row.met is not False]


def _over_ways(name: str, ways: Sequence[WayFigures], seed: int) -> RecipeFigures:
    return _figures(
        name,
        [way.freedom for way in ways],
        [_gain(way) for way in ways],
        [way.share for way in ways],
        seed,
    )


def _gain(way: WayFigures) -> float:
    return math.inf if way.gain is None else way.gain


def _figures(
    name: str, freedom: list[float], gains: list[float], shares: list[float], seed: int
) -> RecipeFigures:
    gain = spearman(freedom, gains, seed)
    closed = spearman(freedom, [-share for share in shares], seed)
    return RecipeFigures(
        of=name, gain=RankCorrelation(**gain._asdict()), closed=RankCorrelation(**closed._asdict())
    )


def rivals_of(
    ways: Sequence[WayFigures], outcome: Callable[[WayFigures], float] | None = None
) -> Rivals:
    """What else the outcome rises with over ways: the smallest open gain where none is named."""
    result = outcome or _gain

    def rises(what: Callable[[WayFigures], float | None]) -> float | None:
        return _rho(ways, what, result)

    def given(third: Callable[[WayFigures], float | None]) -> float | None:
        between = _rho(ways, lambda way: way.freedom, third)
        return _partial(rises(lambda way: way.freedom), between, rises(third), len(ways))

    return Rivals(
        matrices=rises(lambda way: way.matrices),
        norm=rises(lambda way: way.norm),
        steps=rises(lambda way: way.steps),
        margin=rises(lambda way: way.margin),
        given_margin=given(lambda way: way.margin),
        given_steps=given(lambda way: way.steps),
    )


def _rho(
    ways: Sequence[WayFigures],
    first: Callable[[WayFigures], float | None],
    second: Callable[[WayFigures], float | None],
) -> float | None:
    """Spearman's rho over the ways that have both; None where one side does not vary."""
    pairs = [(first(way), second(way)) for way in ways]
    whole = [(x, y) for x, y in pairs if x is not None and y is not None]
    if not whole:
        return None
    rho = float(correlations(*np.asarray(whole, float).T))
    return None if math.isnan(rho) else rho


def _partial(both: float | None, first: float | None, second: float | None, n: int) -> float | None:
    """The correlation of two given a third, from the three of pairs; None where one is missing."""
    if both is None or first is None or second is None or n < LEAST:
        return None
    left = (1 - first**2) * (1 - second**2)
    return None if left <= 0 else (both - first * second) / math.sqrt(left)
