"""In which unit a ceiling carries over: a level of others' ceilings, and where replies collapse."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fulcra.backtest.constancy import ceiling_spreads
from fulcra.backtest.depth_rows import CaseRows, DrawnBranch
from fulcra.backtest.drawn_rows import Floats, Resamples
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.saturation import gain_of_alignment
from fulcra.protocol.results.depth import UNITS, CarriedOver, Coordinates, Typical, Unit
from fulcra.protocol.results.validation import CeilingRow

#: The predicted gains of some branches by unit, [branch] each.
Forecasts = Mapping[Unit, Floats]


class Carrier(NamedTuple):
    """A branch with its three edges on the ladder [gain], and the first gain of its ladder."""

    row: DrawnBranch
    ceiling: float
    collapse: float
    damage: float
    first: float

    def level(self, unit: Unit) -> float:
        """Its measured ceiling in a unit."""
        return {
            "gain": self.ceiling,
            "alignment": self.row.coordinate.alignment(self.ceiling),
            "dose": self.ceiling * self.row.coordinate.budget,
            "kl": self.ceiling / self.damage,
        }[unit]

    def gain(self, unit: Unit, level: float) -> float:
        """The gain at which it is at a level, no lower than its ladder begins."""
        inverse: dict[Unit, Callable[[], float]] = {
            "gain": lambda: level,
            "alignment": lambda: gain_at(self.row.coordinate, level),
            "dose": lambda: level / self.row.coordinate.budget,
            "kl": lambda: level * self.damage,
        }
        return max(inverse[unit](), self.first)


def gain_at(place: Coordinate, alignment: float) -> float:
    """The gain at which a branch has an alignment: the inverse of `Coordinate.alignment`."""
    gain = gain_of_alignment(alignment)
    if place.cap_alignment is not None:
        return gain
    return math.sqrt(1 - place.alignment0**2) * gain - place.alignment0


def coordinates(
    cases: Sequence[CaseRows], ceilings: Sequence[CeilingRow], seed: int
) -> Coordinates:
    """How far a level of others' ceilings lies from where the replies collapse, unit by unit."""
    branches = [carrier for case in cases for carrier in carriers(case)]
    again = Resamples.of([each.row.at.site for each in branches], seed)
    reached = np.array([each.collapse for each in branches], float)
    own = np.log2(np.array([each.ceiling for each in branches], float) / reached)
    several = len({each.row.at.lineage for each in branches}) > 1
    return Coordinates(
        n=len(branches),
        own=again.mean(np.abs(own)),
        late=again.mean(own),
        within=_carried(_within(branches), reached, again),
        across=_carried(_across(branches), reached, again) if several else {},
        spread=ceiling_spreads(ceilings),
        collapse=typical([row.measured for row in ceilings if row.measured is not None]),
    )


def carriers(case: CaseRows) -> list[Carrier]:
    """The drawn branches of a case whose three edges are on the ladder."""
    return [
        Carrier(row, row.ceiling, row.collapse, row.damage, case.first)
        for row in case.drawn
        if row.ceiling is not None and row.collapse is not None and row.damage is not None
    ]


def _within(branches: Sequence[Carrier]) -> Forecasts:
    """The gains at the level of the other neurons of a case; nan where there are none."""
    cases = np.array(["\n".join(each.row.at.case) for each in branches])
    neurons = np.array([each.row.at.neuron for each in branches])
    others = [(cases == cases[i]) & (neurons != neurons[i]) for i in range(len(branches))]
    return {unit: _gains(branches, unit, others) for unit in UNITS}


def _across(branches: Sequence[Carrier]) -> Forecasts:
    """The gains at the level of all other lineages."""
    lineages = np.array([each.row.at.lineage for each in branches])
    others = [lineages != lineage for lineage in lineages]
    return {unit: _gains(branches, unit, others) for unit in UNITS}


def _gains(branches: Sequence[Carrier], unit: Unit, others: Sequence[NDArray[np.bool_]]) -> Floats:
    levels = np.array([each.level(unit) for each in branches])
    return np.array(
        [
            each.gain(unit, float(np.median(levels[mine]))) if mine.any() else math.nan
            for each, mine in zip(branches, others, strict=True)
        ],
        float,
    )


def _carried(forecasts: Forecasts, reached: Floats, again: Resamples) -> dict[Unit, CarriedOver]:
    """The mean error of every unit, and how much more that is than alignment's."""
    errors = {unit: np.abs(np.log2(gains / reached)) for unit, gains in forecasts.items()}
    return {
        unit: CarriedOver(
            error=again.mean(error),
            over_alignment=None if unit == "alignment" else again.mean(error - errors["alignment"]),
        )
        for unit, error in errors.items()
    }


def typical(values: Sequence[float]) -> Typical:
    """The median of some values with their 10-90 % range."""
    if not values:
        return Typical(median=None, low=None, high=None, n=0)
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9]).tolist()
    return Typical(median=middle, low=low, high=high, n=len(values))
