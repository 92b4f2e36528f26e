"""The forecasts of a ceiling that are held against each other: a statistic, and its level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fulcra.formulas.edge_error import alignment_errors
from fulcra.ladders.kl_ladder import CEILING_GAINS, LEVEL
from fulcra.ladders.surprise_ladder import SURPRISED_SHARE
from fulcra.law.edges import HALF

Floats = NDArray[np.float64]
LOGS = np.log(np.array(CEILING_GAINS))
#: Levels that are tried for a statistic: quantiles of its values at the measured ceilings.
TRIED = np.linspace(0.02, 0.98, 33)


class Candidate(NamedTuple):
    """A statistic whose first crossing of a level forecasts the ceiling.

    `tokens` is how many the dosed model writes for it. `level` stands without any ceiling here;
    None where nobody has one. `mean_of`: the geometric mean of other candidates' gains instead.
    """

    name: str
    reads: str
    level: float | None = None
    tokens: int = 0
    mean_of: tuple[str, ...] = ()

    @property
    def tier(self) -> int:
        """What it may see: 2 dosed passes over given text, 4 rollouts of the branch itself."""
        return 4 if self.tokens else 2


_JUDGE, _KL = SURPRISED_SHARE, LEVEL
CANDIDATES = (
    Candidate("kl_mean", "mean KL a token (`kl_ladder`)", _KL),
    Candidate("kl_median", "its median over positions"),
    Candidate("kl_q95", "its 95th percentile over positions", 1.0),
    Candidate("kl_over_1", "share of positions above 1 nat"),
    Candidate("kl_per_entropy", "KL over clean entropy + .1 nat, by position"),
    Candidate("reverse_kl", "mean KL the other way round"),
    Candidate("entropy", "dosed entropy"),
    Candidate("odd_unscaled", "share of odd tokens at T = 1 (`surprise_ladder`)", _JUDGE),
    Candidate("odd", "the same at T = .8 (`sampled_surprise_ladder`)", _JUDGE),
    Candidate("odd_over_half", "share of positions where half of it is odd", _JUDGE),
    Candidate("odd_judged", "the odd share by the judge's reference", _JUDGE),
    *(
        Candidate(f"judge_{n}", f"chance that over .30 of {n} tokens are odd", HALF)
        for n in (16, 32, 48)
    ),
    *(
        Candidate(f"hazard_{n}", f"chance of an odd token, compounded over {n}", HALF)
        for n in (16, 32, 48)
    ),
    Candidate("kl_and_odd", "geometric mean of kl_mean and odd", mean_of=("kl_mean", "odd")),
    Candidate("unroll_kl_8", "mean KL along 8 greedy dosed tokens", _KL, 8),
    *(Candidate(f"own_kl_{n}", f"mean KL along {n} own tokens", _KL, n) for n in (4, 8, 16, 32)),
    *(
        Candidate(f"own_mass_{n}", f"chance of an odd token along {n} own tokens", _JUDGE, n)
        for n in (4, 8, 16, 32)
    ),
    Candidate("own_odd_4", "share of odd tokens in 4 own tokens", _JUDGE, 4),
    Candidate("own_odd_8", "the same in 8 (`own_text_ladder`)", _JUDGE, 8),
    *(Candidate(f"own_odd_{n}", f"the same in {n}", _JUDGE, n) for n in (16, 32)),
    Candidate("lost_32", "the measurement itself, on the openings of the forecasts", HALF, 32),
)
BY_NAME = {candidate.name: candidate for candidate in CANDIDATES}


@dataclass(frozen=True, slots=True)
class Branches:
    """Measured branches and their curves: curves[name] [branch, rung], nan beyond a norm's cap.

    measured, last [branch] are gains; lineage [branch] names whose they are.
    """

    curves: Mapping[str, Floats]
    measured: Floats
    last: Floats
    lineage: NDArray[np.str_]

    @property
    def lineages(self) -> tuple[str, ...]:
        """The lineages, in the order of their first branch."""
        return tuple(dict.fromkeys(self.lineage.tolist()))

    def of(self, lineages: Sequence[str]) -> "Branches":
        """The branches of some lineages."""
        rows = np.isin(self.lineage, lineages)
        curves = {name: curve[rows] for name, curve in self.curves.items()}
        return Branches(curves, self.measured[rows], self.last[rows], self.lineage[rows])

    def gains(self, candidate: Candidate, levels: Mapping[str, float]) -> Floats:
        """The forecast ceilings at the levels of the candidate's statistics; nan is beyond."""
        names = candidate.mean_of or (candidate.name,)
        logs = [np.log(crossed(self.curves[name], levels[name])) for name in names]
        mean: Floats = np.exp(np.mean(logs, axis=0))
        return mean

    def errors(self, gains: Floats) -> Floats:
        """|error| of each forecast in alignment; one beyond the ladder counts as its last rung."""
        return alignment_errors(self.reached(gains), self.measured)

    def reached(self, gains: Floats) -> Floats:
        """The forecasts with those beyond the ladder on its last rung."""
        return np.where(np.isfinite(gains), gains, self.last)

    def mean_error(self, gains: Floats) -> float:
        """The mean |error| in alignment of each lineage, in the mean of the lineages."""
        errors = self.errors(gains)
        return float(np.mean([errors[self.lineage == name].mean() for name in self.lineages]))

    def there(self, name: str) -> Floats:
        """The value of a curve at each measured ceiling, between rungs by the log of the gain."""
        rows = zip(np.log(self.measured), self.curves[name], strict=True)
        return np.array([np.interp(where, LOGS[: len(row)], row) for where, row in rows])


def crossed(curve: Floats, level: float) -> Floats:
    """The gain at which each row of a curve [branch, rung] first reaches a level; nan where never.

    `formulas.intervals.crossing` of every row at once.
    """
    reached = curve >= level
    above = reached.argmax(1)
    below, rows = np.maximum(above - 1, 0), np.arange(len(curve))
    high, low = curve[rows, above], curve[rows, below]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(above == 0, 1.0, (level - low) / (high - low))
    logs = LOGS[below] * (1 - share) + LOGS[above] * share
    gains: Floats = np.where(reached.any(1), np.exp(logs), np.nan)
    return gains


def own_levels(candidate: Candidate) -> dict[str, float] | None:
    """The levels that stand without any ceiling here, by statistic; None where one has none."""
    parts = [BY_NAME[name] for name in candidate.mean_of] or [candidate]
    levels = {part.name: part.level for part in parts if part.level is not None}
    return levels if len(levels) == len(parts) else None


def fitted_levels(branches: Branches, candidate: Candidate) -> dict[str, float]:
    """The level of each statistic that errs least on these branches, in the mean of lineages.

    Of TRIED quantiles of its values at the measured ceilings; the parts of a mean one by one.
    """
    parts = [BY_NAME[name] for name in candidate.mean_of] or [candidate]
    return {part.name: _fitted(branches, part) for part in parts}


def _fitted(branches: Branches, candidate: Candidate) -> float:
    tried: list[float] = np.unique(np.quantile(branches.there(candidate.name), TRIED)).tolist()

    def error(level: float) -> float:
        return branches.mean_error(branches.gains(candidate, {candidate.name: level}))

    return min(tried, key=error)
