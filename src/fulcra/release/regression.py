"""A run against a baseline run: may its figures be worse, and are they."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fulcra.errors import InputError
from fulcra.formulas.intervals import crossing, newcombe, wilson
from fulcra.law.edges import HALF, RESAMPLES, rates
from fulcra.protocol.results.gate import LimitEntry
from fulcra.release.decide import Measure, at_least, at_most
from fulcra.release.finished import FinishedRun
from fulcra.release.limits import MORE_PROMPTS, MORE_RANDOM
from fulcra.release.policy import Regression
from fulcra.types import Interval


def require_comparable(runs: Sequence[FinishedRun]) -> None:
    """InputError where runs differ in what is asked of a model: behavior, horizons or ladder."""
    first = runs[0]
    for run in runs[1:]:
        if differ := differences(first, run):
            raise InputError(
                f"{run.files.folder} and {first.files.folder} differ in {', '.join(differ)};"
                " compare runs of one behavior, its prompts and one ladder of gains"
            )


def differences(run: FinishedRun, other: FinishedRun) -> list[str]:
    """What two runs ask differently of a model; none where prompts pair."""
    plan = _asked_of(other)
    return [name for name, value in _asked_of(run).items() if value != plan[name]]


def _asked_of(run: FinishedRun) -> dict[str, object]:
    plan = run.files.content.plan
    return {
        "prompts": plan.behavior_sha256,
        "horizons": plan.horizons,
        "gains": plan.gains,
    }


def regression_entries(
    wanted: Regression, run: FinishedRun, baseline: FinishedRun
) -> Iterator[LimitEntry]:
    """An entry for every limit on how much worse than the baseline a run may be."""
    if wanted.open_fraction is not None:
        yield _open_fraction(wanted.open_fraction, run, baseline)
    if wanted.smallest_open_gain is not None:
        yield _smallest_open_gain(wanted.smallest_open_gain, run, baseline)


def random_opened(run: FinishedRun) -> Interval:
    """The share of the random branches that open, with its Wilson interval."""
    sample = [branch for branch in run.result.branches if branch.source == "random"]
    return wilson(sum(bool(branch.observed_open) for branch in sample), len(sample))


def _open_fraction(wanted: float, run: FinishedRun, baseline: FinishedRun) -> LimitEntry:
    before, after = random_opened(baseline), random_opened(run)
    words = (
        f"{_share(after)} random branches open, {_share(before)} in the baseline, a rise of"
        f" {after.value - before.value:.3g}"
    )
    rise = Measure.of(words, newcombe(before, after), MORE_RANDOM)
    return at_most("regression.open_fraction", wanted, rise)


def _share(rate: Interval) -> str:
    return f"{0 if not rate.n else round(rate.value * rate.n)} of {rate.n}"


def _smallest_open_gain(wanted: float, run: FinishedRun, baseline: FinishedRun) -> LimitEntry:
    """The smallest open gain as a part of the baseline's."""
    ratio, after, before = opening_ratio(run, baseline)
    words = f"{_first(after, before)}, on {ratio.n} shared prompts"
    measure = Measure.of(words, ratio, MORE_PROMPTS)
    return at_least("regression.smallest_open_gain", wanted, measure)


def _first(after: float, before: float) -> str:
    """From which gains a branch opens in two runs, and the ratio that is held to the limit."""
    now = f"the first branch opens from gain {after:.3g}"
    now = now if math.isfinite(after) else "no branch opens on the ladder"
    then = f"{before:.3g} in the baseline" if math.isfinite(before) else "none in the baseline"
    finite = math.isfinite(after) and math.isfinite(before)
    return f"{now}, {then}" + (f", {_ratio(after, before):.3g} times as high" if finite else "")


def opening_ratio(run: FinishedRun, baseline: FinishedRun) -> tuple[Interval, float, float]:
    """The smallest open gain as a part of the baseline's, its 5-95 % interval, and both gains.

    The same prompts are resampled in both runs at once; inf is beyond the ladder. Runs are of one
    behavior and one ladder, see `require_comparable`.
    """
    prompts = sorted(_prompts(run) & _prompts(baseline))
    cubes = [_flips(each, prompts) for each in (run, baseline)]
    after, before = (_smallest(run.gains, cube) for cube in cubes)
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(RESAMPLES if prompts else 0):
        drawn = rng.integers(len(prompts), size=len(prompts))
        pair = (_smallest(run.gains, cube[:, :, drawn]) for cube in cubes)
        ratios.append(_ratio(*pair))
    ratios.sort()
    low, high = (ratios[int(q * len(ratios))] if ratios else math.nan for q in (0.05, 0.95))
    return Interval(_ratio(after, before), low, high, len(prompts)), after, before


def _ratio(after: float, before: float) -> float:
    """The part that is left of a gain; 1 where neither opens, 0 where only the later one does."""
    if math.isinf(after):
        return 1.0 if math.isinf(before) else math.inf
    return after / before


def _prompts(run: FinishedRun) -> set[str]:
    """The confirmation prompts that do not leak undosed."""
    branches = (branch.name for branch in run.result.branches)
    return {r.prompt for name in branches for r in run.evidence.sealed("confirmation", name)}


def _flips(run: FinishedRun, prompts: Sequence[str]) -> NDArray[np.float64]:
    """Flips [branch, gain, prompt] on the confirmation prompts; nan where none was rolled out."""
    places = {prompt: place for place, prompt in enumerate(prompts)}
    rungs = {gain: place for place, gain in enumerate(run.gains)}
    names = [branch.name for branch in run.result.branches]
    cube = np.full((len(names), len(rungs), len(prompts)), np.nan)
    horizon = run.evidence.verdict_horizon
    for branch, name in enumerate(names):
        for record in run.evidence.sealed("confirmation", name):
            if record.prompt in places:
                place = (branch, rungs[record.gain], places[record.prompt])
                cube[place] = record.flipped(horizon)
    return cube


def _smallest(gains: Sequence[float], cube: NDArray[np.float64]) -> float:
    """The smallest gain from which a branch flips half of the prompts; inf where none does."""
    shares = rates(cube)
    opened = shares[np.nan_to_num(shares, nan=0.0).max(-1) >= HALF]
    edges = (crossing(gains, branch.tolist(), HALF) for branch in opened)
    return min((edge for edge in edges if edge is not None), default=math.inf)
