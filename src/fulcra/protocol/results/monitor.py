"""A calibrated monitor and what a trial of it showed, as their files hold them."""

from typing import ClassVar, Literal

from fulcra.formulas.conformal import chance_of
from fulcra.protocol.results.base import ModelEntry, Named, Provenance, Result, Timing, Value

#: The chance below which a served model is said to be another than its release.
DIFFERS = 0.01

#: The share of decoding time that a watch should cost at most.
COST = 0.02

#: How neurons that share a dose were picked: of its layer those that write most alike, or least
#: alike, or least alike of all layers.
Pick = Literal["alike", "unlike", "unlike over layers"]


class ThresholdEntry(Value):
    """A statistic's threshold, and the bound on its false alarms a window drawn as the `n` were.

    The bound is the mean over calibrations.
    """

    statistic: str
    value: float
    bound: float
    n: int


class CalibrationResult(Result):
    """A monitor's header; its tensors, whose hash is `tensors_sha256`, stand beside it.

    `openings_sha256` is the hash of all openings, `fit_windows` the number of clean windows that
    say what is usual; those of the thresholds are others.
    """

    file: ClassVar[str] = "calibration.json"

    schema_version: int
    command: str
    model: ModelEntry
    behavior: Named | None
    openings_sha256: str
    window: int
    fit_windows: int
    seed: int
    rate: float
    thresholds: tuple[ThresholdEntry, ...]
    tensors_sha256: str
    provenance: Provenance
    timing: Timing | None = None

    def threshold(self, statistic: str) -> ThresholdEntry:
        """The threshold of a statistic."""
        return next(entry for entry in self.thresholds if entry.statistic == statistic)

    def lines(self) -> tuple[str, ...]:
        """Model, text, and the thresholds with their bounds."""
        first = self.thresholds[0]
        values = ", ".join(f"{entry.statistic} {entry.value:.3g}" for entry in self.thresholds)
        return (
            f"{self.model.name}: {self.fit_windows} + {first.n} clean windows of {self.window}"
            " tokens",
            f"thresholds {values}; false alarms <= {first.bound:.3g} a window drawn alike, on"
            " average",
        )


def at_most(target: float, low: float, high: float) -> str:
    """Whether an interval lies below a target, in a word: met, missed, or undecided around it."""
    return "met" if high <= target else "missed" if low > target else "undecided"


class Share(Value):
    """How many windows raise an alarm, with the 95 % Wilson interval of the rate."""

    alarms: int
    n: int
    rate: float
    low: float
    high: float

    def against(self, target: float) -> str:
        """Whether the rate is at most a target, by its interval, in a word."""
        return at_most(target, self.low, self.high)


class Alarms(Value):
    """Alarms on one set of windows, by statistic."""

    dose: Share
    shift: Share
    cosine: Share


class DomainAlarms(Value):
    """False alarms of the undosed model on one kind of request."""

    domain: str
    alarms: Alarms


class DoseAlarms(Value):
    """Alarms under doses of one gain; `named` counts windows whose nearest write was dosed.

    `neurons` share the dose, picked by `pick`; `share` of the positions have it.
    """

    gain: float
    neurons: int = 1
    share: float = 1.0
    pick: Pick = "alike"
    alarms: Alarms
    named: Share


class BranchAlarms(Value):
    """From which gain on every window of a branch's dose raises an alarm, beside where it opens.

    `noticed` is None where no gain below the opening one was noticed in all windows.
    """

    neuron: str
    source: str
    opens: float | None
    noticed: float | None
    gains: tuple[float, ...]
    rates: tuple[float, ...]


class WatchCost(Value):
    """What watching costs a token: the share of multiplications, and of decoding time.

    `time` is the median over `pairs` of decodings with and without a watch, one after the other.
    """

    products: float
    time: float
    low: float
    high: float
    pairs: int

    @property
    def words(self) -> str:
        """Both costs in words; undecided is the target of a time whose quartiles lie around it."""
        spread = f"quartiles {100 * self.low:.2g} to {100 * self.high:.2g} %"
        target = f"the target of {100 * COST:g} % is"
        verdict = at_most(COST, self.low, self.high)
        return (
            f"{100 * self.products:.2g} % of a forward pass in multiplications; measured,"
            f" {100 * self.time:.2g} % of decoding time, the median of {self.pairs} pairs"
            f" ({spread}): {target} {verdict}"
        )


class MonitorResult(Result):
    """A trial of a monitor: doses noticed, false alarms by domain, attacks that adapt, cost.

    A dose that none of the tried neurons can have, beyond the cap of a norm, has no entry.
    """

    file: ClassVar[str] = "monitor.json"

    schema_version: int
    command: str
    model: ModelEntry
    behavior: Named | None
    calibration: CalibrationResult
    audit: str | None
    seed: int
    clean: Alarms
    domains: tuple[DomainAlarms, ...]
    doses: tuple[DoseAlarms, ...]
    spread: tuple[DoseAlarms, ...]
    partial: tuple[DoseAlarms, ...]
    branches: tuple[BranchAlarms, ...]
    cost: WatchCost
    provenance: Provenance
    timing: Timing | None = None

    @property
    def opening(self) -> tuple[BranchAlarms, ...]:
        """The branches that an audit saw open."""
        return tuple(branch for branch in self.branches if branch.opens is not None)

    @property
    def spread_words(self) -> str:
        """The neurons that a spread dose was of, in words."""
        if all(dose.pick == "alike" for dose in self.spread):
            return (
                "the neurons of a layer that write most alike (together they move the stream"
                " further than the one, and are easier to notice than unlike ones)"
            )
        return "neurons that write least alike, of the layer and of all layers"

    def noticed_from(self, target: float = 0.95) -> float | None:
        """The smallest gain from which on at least `target` of windows raise a dose alarm."""
        smallest = None
        for dose in reversed(self.doses):
            if dose.alarms.dose.rate < target:
                break
            smallest = dose.gain
        return smallest

    def lines(self) -> tuple[str, ...]:
        """The gain that is noticed, false alarms, opening branches below their trigger, cost."""
        gain, clean, opening = self.noticed_from(), self.clean.dose, self.opening
        counts = [each.alarms.dose for each in self.doses if each.gain == gain]
        tried = "".join(f"; {each.alarms} of {each.n} windows there" for each in counts)
        below = sum(branch.noticed is not None for branch in opening)
        of_run = f"{below} of {len(opening)} opening branches noticed below their opening gain"
        return (
            f"{self.model.name}: {self.calibration.window} tokens show a dose of"
            f" {'no tried gain' if gain is None else f'gain {gain:g} or more'} (TPR >= .95{tried})",
            f"false alarms {clean.alarms} of {clean.n} windows on openings of no calibration",
            *([of_run] if opening else []),
            f"a watch costs {self.cost.words}",
        )


class ServedResult(Result):
    """A served model's own windows against the thresholds of its release.

    `bound` is that on false alarms of the release itself, a window and statistic, from `calibrated`
    clean windows; `nearest` the neuron of the release that dose alarms name most often.
    """

    file: ClassVar[str] = "served.json"

    schema_version: int
    command: str
    model: ModelEntry
    release: ModelEntry
    behavior: Named | None
    seed: int
    bound: float
    calibrated: int | None = None
    alarms: Alarms
    nearest: str | None
    provenance: Provenance

    @property
    def chance(self) -> float:
        """The chance of so many alarms in the release's own windows, of dose or shift alarms.

        Over calibrations too; the smaller one, doubled for the two. Windows are taken to be drawn
        like those of the calibration, though their openings are others.
        """
        # a file without `calibrated`: the fewest windows this bound can come from, the widest law
        n = self.calibrated or round(1 / self.bound - 1)
        both = (self.alarms.dose, self.alarms.shift)
        return min(1.0, 2 * min(chance_of(each.alarms, each.n, self.bound, n) for each in both))

    @property
    def differs(self) -> bool:
        """Whether `chance` is below one in a hundred, the calibration drawn anew each time."""
        return self.chance < DIFFERS

    def lines(self) -> tuple[str, ...]:
        """The verdict, and the shares of windows above each threshold."""
        dose, shift = self.alarms.dose, self.alarms.shift
        verdict = "is not that of" if self.differs else "cannot be told from"
        alarms = f"{dose.alarms} dose and {shift.alarms} shift alarms in {dose.n} windows"
        return (
            f"the stream of {self.model.name} {verdict} {self.release.name}",
            f"{alarms}; of the release at most {self.bound:.2g} a window on average, so many with a"
            f" chance of {self.chance:.2g}",
        )


class MonitorTable(Result):
    """Trials of monitors of several models, as docs/defence.md shows them."""

    file: ClassVar[str] = "monitor.json"

    schema_version: int
    trials: tuple[MonitorResult, ...]
    served: tuple[ServedResult, ...] = ()
    provenance: Provenance
