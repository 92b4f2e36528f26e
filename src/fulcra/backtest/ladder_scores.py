"""Candidates scored on measured ceilings, at frozen levels and by leaving a lineage out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fulcra.backtest.ladder_candidates import (
    BY_NAME,
    CANDIDATES,
    Branches,
    Candidate,
    Floats,
    fitted_levels,
    own_levels,
)
from fulcra.formulas.edge_error import alignment_errors
from fulcra.formulas.resampling import spread
from fulcra.protocol.results.ladder_errors import (
    CandidateScore,
    ErrorScore,
    Estimate,
    LineageError,
    Nested,
)
from fulcra.protocol.results.validation import CeilingRow

#: Tokens of its own that the pools of the nested choice allow, by name.
POOLS = {"given text alone": 0, "at most 8 own tokens": 8, "at most 16 own tokens": 16}
#: The choices within a pool: a candidate, at its own level or at one chosen on the training rows.
Choice = tuple[Candidate, bool]


class Forecast(NamedTuple):
    """One candidate's ceilings of all branches [gain], nan beyond, with the levels behind them."""

    gains: Floats
    levels: dict[str, float]


@dataclass(frozen=True, slots=True)
class Scorer:
    """Branches, the resamples of their neurons, and the noise of a measured ceiling.

    draws [resample, branch] by lineage (`cluster_draws`); noise by lineage is the variance of one
    measured ceiling in alignment.
    """

    branches: Branches
    draws: Mapping[str, NDArray[np.int64]]
    noise: Mapping[str, float]

    def frozen(self, candidate: Candidate) -> Floats | None:
        """The forecasts at a level from elsewhere; None where there is none."""
        levels = own_levels(candidate)
        return None if levels is None else self.branches.gains(candidate, levels)

    def fitted(self, candidate: Candidate) -> Forecast | None:
        """Each lineage's forecasts at the levels of the others; None with a single lineage."""
        lineages = self.branches.lineages
        if len(lineages) < 2:
            return None
        gains, levels = np.full(len(self.branches.measured), np.nan), {}
        for name in lineages:
            rows = self.branches.lineage == name
            chosen = fitted_levels(_without(self.branches, name), candidate)
            gains[rows] = self.branches.of([name]).gains(candidate, chosen)
            if not candidate.mean_of:
                levels[name] = chosen[candidate.name]
        return Forecast(gains, levels)

    def scored(self, candidate: Candidate) -> CandidateScore:
        """Both scores of one candidate."""
        frozen, fitted = self.frozen(candidate), self.fitted(candidate)
        return CandidateScore(
            reads=candidate.reads,
            tier=candidate.tier,
            tokens=candidate.tokens,
            level=candidate.level,
            frozen=None if frozen is None else self.score(frozen),
            fitted=None if fitted is None else self.score(fitted.gains),
            levels={} if fitted is None else fitted.levels,
        )

    def score(self, gains: Floats) -> ErrorScore:
        """The errors of some forecasts of all branches."""
        reached, measured = self.branches.reached(gains), self.branches.measured
        ladder = self.frozen(BY_NAME["kl_mean"])
        errors = self.branches.errors(gains)
        usual = self.branches.errors(gains if ladder is None else ladder)
        lineages = {name: self._of(name, errors, reached) for name in self.branches.lineages}
        octaves = np.log2(reached) - np.log2(measured)
        return ErrorScore(
            cos=self.estimate(errors),
            log2=self.estimate(np.abs(octaves)),
            bias_log2=_mean([row.bias_log2 for row in lineages.values()]),
            correlation=_mean([row.correlation for row in lineages.values()]),
            over_kl_ladder=self.estimate(errors - usual),
            excess=self._excess(errors, usual),
            beyond=int((~np.isfinite(gains)).sum()),
            lineages=lineages,
        )

    def estimate(self, values: Floats) -> Estimate:
        """The mean of lineages of a value a branch, nan left out, with its interval.

        Lineages stay; in each its neurons are drawn again.
        """
        means, resamples = [], []
        for name, draws in self.draws.items():
            rows = self.branches.lineage == name
            finite = np.isfinite(values[rows])
            if finite.any():
                means.append(float(values[rows][finite].mean()))
                sums = draws @ np.where(finite, values[rows], 0.0)
                resamples.append(sums / np.maximum(draws @ finite, 1))
        if not means:
            return Estimate(value=None, low=None, high=None)
        around = spread(np.mean(resamples, axis=0))
        return Estimate(value=float(np.mean(means)), low=around.low, high=around.high)

    def _of(self, name: str, errors: Floats, reached: Floats) -> LineageError:
        rows = self.branches.lineage == name
        first, second = np.log2(reached[rows]), np.log2(self.branches.measured[rows])
        varies = min(first.std(), second.std()) > 1e-12 and len(first) > 2
        return LineageError(
            cos=self.estimate(np.where(rows, errors, np.nan)),
            bias_log2=float((first - second).mean()),
            correlation=float(np.corrcoef(first, second)[0, 1]) if varies else None,
            n=int(rows.sum()),
        )

    def _excess(self, errors: Floats, usual: Floats) -> float | None:
        """The squared error above the noise, over that of the usual forecast."""
        above = [
            [
                float((values[self.branches.lineage == name] ** 2).mean()) - self.noise[name]
                for name in self.branches.lineages
            ]
            for values in (errors, usual)
        ]
        mine, others = (float(np.mean(row)) for row in above)
        return mine / others if others > 0 else None

    def nested(self) -> list[Nested]:
        """The score of choosing a candidate without the lineage it is scored on, pool by pool.

        Empty below three lineages: a choice needs two of them, one to set levels and one to judge.
        """
        if len(self.branches.lineages) < 3:
            return []
        inner = {
            name: inner_errors(_without(self.branches, name)) for name in self.branches.lineages
        }
        return [self._chosen(pool, tokens, inner) for pool, tokens in POOLS.items()]

    def _chosen(
        self, pool: str, tokens: int, inner: Mapping[str, Mapping[Choice, float]]
    ) -> Nested:
        """The choice of one pool for every lineage left out, and its score."""
        names, gains = {}, np.full(len(self.branches.measured), np.nan)
        for name, errors in inner.items():
            candidate, fits = best_choice(errors, tokens)
            levels = _levels(_without(self.branches, name), candidate, fits)
            judged = self.branches.of([name])
            gains[self.branches.lineage == name] = judged.gains(candidate, levels)
            words = " and ".join(f"{part} at {level:.3g}" for part, level in levels.items())
            names[name] = f"mean of {words}" if candidate.mean_of else words
        return Nested(pool=pool, chosen=names, score=self.score(gains))


def best_choice(errors: Mapping[Choice, float], tokens: int) -> Choice:
    """The choice of least error among those of at most so many own tokens.

    The first of CANDIDATES where several are alike.
    """
    pool = [choice for choice in errors if choice[0].tokens <= tokens]
    return min(pool, key=lambda choice: errors[choice])


def inner_errors(training: Branches) -> dict[Choice, float]:
    """The mean error of every choice on each training lineage, its level chosen on the others."""
    folds = [(_without(training, name), training.of([name])) for name in training.lineages]
    most = max(POOLS.values())
    errors = {}
    for candidate in (c for c in CANDIDATES if c.tokens <= most):
        for fits in (False, True) if own_levels(candidate) else (True,):
            rows = [
                judged.mean_error(judged.gains(candidate, _levels(others, candidate, fits)))
                for others, judged in folds
            ]
            errors[candidate, fits] = float(np.mean(rows))
    return errors


def _levels(training: Branches, candidate: Candidate, fits: bool) -> dict[str, float]:
    return fitted_levels(training, candidate) if fits else own_levels(candidate) or {}


def _without(branches: Branches, lineage: str) -> Branches:
    return branches.of([name for name in branches.lineages if name != lineage])


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None


def noise_variance(rows: Sequence[CeilingRow]) -> float:
    """The variance of one measured ceiling [alignment^2], from halves of its prompts; 0 of none.

    Half of the prompts have twice the variance of all, and two halves differ by twice that.
    """
    halves = [row.repeats.halves for row in rows if row.repeats is not None]
    pairs = [(a, b) for a, b in halves if a is not None and b is not None]
    if not pairs:
        return 0.0
    first, second = np.array(pairs).T
    gaps = alignment_errors(first, second)
    return float((gaps**2).mean() / 4)


def gain_or_none(value: float) -> float | None:
    """A gain as files hold it: None beyond the ladder."""
    return float(value) if math.isfinite(value) else None
