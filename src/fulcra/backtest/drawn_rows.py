"""The drawn branches of a registered study, with the resamples that every interval rests on."""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fulcra.backtest.outside_scope import OutsideRow
from fulcra.formulas.classification import auroc
from fulcra.formulas.ranking import aurocs
from fulcra.formulas.resampling import nested_draws, spread
from fulcra.protocol.results.bounded import Bounded
from fulcra.protocol.results.validation import CeilingRow, VerdictRow

Floats = NDArray[np.float64]
#: How often, or how much, each value counts, [weighting, value].
Weightings = NDArray[np.int64] | Floats


def of_site(row: CeilingRow | OutsideRow | VerdictRow) -> Hashable:
    """What is resampled together within a lineage: a neuron in all of its models and cases.

    Models of one lineage share their pretraining, and most of their neurons.
    """
    return row.neuron


class Drawn(NamedTuple):
    """Measured branches as arrays, and how often each counts in each resample.

    `opened` and `weights` are [branch]; `draws` [resample, branch], of lineages, then neurons.
    """

    rows: Sequence[VerdictRow]
    opened: NDArray[np.bool_]
    weights: Floats
    draws: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[VerdictRow], seed: int) -> "Drawn":
        """The branches of some rows."""
        opened = np.array([row.observed_open for row in rows])
        weights = np.array([row.weight for row in rows])
        outer, inner = [row.lineage for row in rows], [of_site(row) for row in rows]
        return cls(rows, opened, weights, nested_draws(outer, inner, seed))

    @property
    def outer(self) -> list[str]:
        """The lineage of each branch."""
        return [row.lineage for row in self.rows]

    @property
    def inner(self) -> list[Hashable]:
        """The neuron of each branch."""
        return [of_site(row) for row in self.rows]

    def margins(self, level: str) -> Floats:
        """What a level ranks by, [branch]."""
        return np.array([row.margins[level] for row in self.rows])

    def areas(self, level: str) -> tuple[float, Floats]:
        """The AUROC of a level for observed open, and in each resample; drawn branches unweighed.

        Undetermined branches are among the others.
        """
        margins = self.margins(level)
        return auroc(margins, self.opened), aurocs(margins, self.opened, self.draws)

    def within(self, level: str) -> float | None:
        """The AUROC of a level between branches of one case, over all such pairs."""
        margins, names = self.margins(level), np.array([row.name for row in self.rows])
        wins = pairs = 0.0
        for name in dict.fromkeys(names.tolist()):
            mine = names == name
            n = float(self.opened[mine].sum()) * float((~self.opened[mine]).sum())
            if n:
                wins += n * auroc(margins[mine], self.opened[mine])
                pairs += n
        return wins / pairs if pairs else None


class Resamples(NamedTuple):
    """How often each value counts in each resample of lineages, then neurons: [resample, value].

    `clusters` neurons in all; of fewer than two no figure has an interval.
    """

    draws: NDArray[np.int64]
    clusters: int

    @classmethod
    def of(cls, sites: Sequence[tuple[str, Hashable]], seed: int) -> "Resamples":
        """The resamples of values by the lineage and neuron of each."""
        outer, inner = [lineage for lineage, _ in sites], [neuron for _, neuron in sites]
        draws = nested_draws(outer, inner, seed) if sites else np.zeros((1, 0), np.int64)
        return cls(draws, len(set(sites)))

    def figure(self, statistic: Callable[[Weightings], Floats]) -> Bounded:
        """A statistic of weightings [weighting, value] with its interval over the resamples."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(statistic(np.ones((1, self.draws.shape[1])))[0])
            whole = bounded(value, statistic(self.draws))
        return whole if self.clusters > 1 else whole.model_copy(update={"low": None, "high": None})

    def ratio(self, over: Floats, under: Floats) -> Bounded:
        """The sum of one column over that of another, [value] each."""
        return self.figure(lambda weights: (weights @ over) / (weights @ under))

    def mean(self, values: Floats, weights: Floats | None = None) -> Bounded:
        """The weighed mean of the values that are there; nan counts nowhere."""
        size = np.where(np.isfinite(values), 1.0 if weights is None else weights, 0.0)
        return self.ratio(np.nan_to_num(values) * size, size)


def bounded(value: float, values: Floats) -> Bounded:
    """A figure with the 95 % interval of its resamples; those in which it is undefined left out."""
    there = values[np.isfinite(values)]
    if not np.isfinite(value) or not len(there):
        return Bounded(value=None, low=None, high=None)
    low, high, _ = spread(there)
    return Bounded(value=float(value), low=low, high=high)


def p_above(values: Floats) -> float | None:
    """The p that a figure is not above zero, of its resamples; None where it is undefined."""
    there = values[np.isfinite(values)]
    return spread(there).p_value if len(there) else None
