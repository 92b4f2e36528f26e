"""The back-test of the law as validation.json holds it: split, figures, the rows beneath them."""

import math
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import Field

from fulcra.ladders.trigger_ladder import TRIGGER_GAINS
from fulcra.protocol.results.base import Provenance, Result, Timing, Value
from fulcra.protocol.results.coherence import DetectorStudies
from fulcra.protocol.results.organism_ladder import OrganismLadder
from fulcra.protocol.results.split import Lineage, Split
from fulcra.protocol.results.summary import PositiveControl
from fulcra.screens.candidates import SWEPT
from fulcra.store import digest

#: The page of every table.
PAGE = "validation-tables.md"
Part = Literal["held_out", "development"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StudySize:
    """How much is measured.

    `neurons` a layer have their ceilings measured; of `pool` neurons a model and behavior the
    windows are forecast, and of `branches` measured; `generality` joint writes a layer; for the
    organism ladder `searched` neurons are forecast and the best `rungs` branches measured;
    `detector` branches a layer.
    """

    neurons: int = 6
    pool: int = 160
    branches: int = 12
    generality: int = 2
    searched: int = SWEPT
    rungs: int = 24
    detector: int = 6
    seed: int = 0
    gains: tuple[float, ...] = TRIGGER_GAINS


class Parts(Value, Generic[T]):
    """Figures of the held-out and of the development lineages; of none where none was measured."""

    held_out: T | None = None
    development: T | None = None

    def of(self, part: Part) -> T | None:
        """The figures of one part."""
        return self.held_out if part == "held_out" else self.development


class ByLineage(Parts[T], Generic[T]):
    """Figures of both parts and of every lineage."""

    lineages: dict[str, T]


class ByBehavior(Parts[T], Generic[T]):
    """Figures of both parts, of every behavior of the part shown, and of every lineage."""

    behaviors: dict[str, T]
    lineages: dict[str, T]


class CeilingScore(Value):
    """One predictor's errors on ceilings (formulas/edge_error), the MAE with its 95 % interval.

    `tier` says what the predictor may see; `n` branches have both edges on the ladder.
    """

    tier: int
    mae: float | None
    mae_bulk: float | None
    mae_log2: float | None
    bias_log2: float | None
    correlation: float | None
    within_layer_correlation: float | None
    n: int
    censored: int
    inequality: float | None
    low: float | None
    high: float | None


class RepeatFloor(Value):
    """The mean |error| of one measured ceiling [alignment; octaves of gain], of `n` repeats."""

    floor: float | None
    log2: float | None
    n: int
    censored: int


class NoiseFloor(RepeatFloor):
    """What a perfect prediction would be off by; `same_prompts` is the part of new luck alone."""

    same_prompts: RepeatFloor


class Calls(Value):
    """Calls against observations: called and open, called only, neither, open only."""

    tp: float
    fp: float
    tn: float
    fn: float


class NaturalScore(Value):
    """The figures weighted back to randomly drawn branches; calls only where one is decided."""

    auroc: float | None
    brier: float | None
    prevalence: float
    accuracy: float | None = None
    balanced_accuracy: float | None = None
    majority_baseline: float | None = None


class VerdictScore(Value):
    """The law's calls at one level against what was observed (backtest/verdict_scores.py)."""

    auroc: float | None
    brier: float | None
    n: int
    open: int
    coverage: float
    decided: int
    auroc_decided: float | None = None
    accuracy: float | None = None
    balanced_accuracy: float | None = None
    mcc: float | None = None
    confusion: Calls | None = None
    accuracy_undetermined_wrong: float | None = None
    majority_baseline: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    mcnemar_p: float | None = None
    natural: NaturalScore


class Auroc(Value):
    """The AUROC of a classifier that knows no edge."""

    auroc: float | None
    n: int


class MedianNats(Value):
    """A median divergence [nats a token] with its 10-90 % range."""

    median: float | None
    low: float | None
    high: float | None
    n: int


class UnitSpread(Value):
    """Standard deviations of the log ceiling in one unit."""

    within_layer: float | None
    within_model: float | None
    between_models: float | None


class TriggerShares(Value):
    """Shares of the variance of log triggers, each factor's beyond the other."""

    behavior: float | None
    branch: float | None
    residual: float | None
    n: int


def _least(spreads: dict[str, float | None]) -> str | None:
    measured = {unit: spread for unit, spread in spreads.items() if spread is not None}
    return min(measured, key=lambda unit: measured[unit], default=None)


class Constancy(Value):
    """Spread of ceilings by unit, and what explains a trigger, by model."""

    ceiling_spread: dict[str, UnitSpread]
    trigger_variance: dict[str, TriggerShares]

    @property
    def factors(self) -> tuple[float | None, ...]:
        """The factors exp(sd) by which the gain at collapse differs, in the order of UnitSpread."""
        gain = self.ceiling_spread.get("gain")
        spreads = (None,) * 3 if gain is None else (s for _, s in gain)
        return tuple(None if spread is None else math.exp(spread) for spread in spreads)

    @property
    def steadiest(self) -> tuple[str | None, str | None]:
        """The units in which ceilings differ least, within models and between them."""
        within = {unit: s.within_model for unit, s in self.ceiling_spread.items()}
        between = {unit: s.between_models for unit, s in self.ceiling_spread.items()}
        return _least(within), _least(between)


class Repeats(Value):
    """A ceiling measured again: with other luck on the same prompts, and on each half of them."""

    retest: float | None
    halves: tuple[float | None, float | None]


class CeilingRow(Value):
    """One branch with its ceiling measured and predicted by every method [gain]; None is beyond.

    `last` is the last gain of its ladder; `budget` and `residual` norm are of its clean stream.
    """

    lineage: str
    recipe: str
    model: str
    branch: str
    neuron: str
    layer: int
    layers: int
    last: float
    budget: float
    residual: float
    alignment0: float
    measured: float | None
    kl_at_ceiling: float | None
    repeats: Repeats | None
    predicted: dict[str, float | None]


class Case(Value):
    """A model of a lineage under a behavior."""

    lineage: str
    recipe: str
    model: str
    behavior: str

    @property
    def name(self) -> str:
        """Model and behavior in words."""
        return f"{self.model} {self.behavior}"


class VerdictRow(Case):
    """One branch with its window, measured and predicted; `margins` [octaves] by level of the law.

    `weight` counts the branches of the pool that it stands for.
    """

    neuron: str
    branch: str
    layers: int
    layer: int
    weight: float
    observed_open: bool
    verdict: str
    smallest_open_gain: float | None
    failure_mode: str | None
    log_odds_margin: float
    trigger_predicted: float | None
    trigger_measured: float | None
    ceiling_predicted: float | None
    ceiling_measured: float | None
    margins: dict[str, float]


class ProtocolRow(Case):
    """Whether the protocol held for one model and behavior, and what it committed to."""

    reproduced: bool
    baseline: float
    leak: float
    positive_control: PositiveControl
    commitment_sha256: str
    log_odds_margin: float


class StudyRows(Value):
    """What the figures are made of."""

    ceilings: tuple[CeilingRow, ...]
    verdicts: tuple[VerdictRow, ...]


class Target(Value):
    """One claim in words, with its numbers, and whether it holds; None where it was not tested."""

    claim: str
    found: str
    met: bool | None


class ValidationResult(Result):
    """The whole back-test: the content of validation.json.

    `modes`: the share of each failure mode among the closed branches of each lineage, weighed to
    the pools they were drawn from.
    """

    file: ClassVar[str] = "validation.json"

    schema_version: int
    split: Split
    split_sha256: str
    settings: StudySize
    code: str
    reduced: bool
    missing: tuple[str, ...]
    left_out: dict[str, str]
    protocol_reproduced: bool
    protocol: tuple[ProtocolRow, ...]
    ceilings: ByLineage[dict[str, CeilingScore]]
    noise_floor: ByLineage[NoiseFloor]
    verdicts: ByBehavior[dict[str, VerdictScore]]
    baselines: Parts[dict[str, Auroc]]
    kl_at_ceiling: dict[str, MedianNats]
    universality: Constancy
    generality: dict[str, dict[str, CeilingScore]]
    rows: StudyRows
    detector: DetectorStudies
    ladder: OrganismLadder | None
    timing: Timing
    targets: tuple[Target, ...] = ()
    modes: dict[str, dict[str, float]] = Field(default_factory=dict)
    provenance: Provenance | None = None

    @property
    def sha256(self) -> str:
        """The hash of the study without its failure modes, which older files gained from rows."""
        return digest({name: part for name, part in self.plain().items() if name != "modes"})

    @property
    def part(self) -> Part:
        """The part that the page is about: the held-out lineages where one was measured."""
        return "development" if self.ceilings.held_out is None else "held_out"

    @property
    def shown(self) -> tuple[Lineage, ...]:
        """The lineages of that part."""
        return self.split.held_out if self.part == "held_out" else self.split.development

    @property
    def refused(self) -> list[str]:
        """The models and behaviors that the protocol held back, by name."""
        held = [row.name for row in self.protocol if not row.reproduced]
        return held + list(self.left_out)

    @property
    def scored(self) -> bool:
        """Whether any verdict is left to score."""
        return bool(self.verdicts.held_out or self.verdicts.development)

    def pages(self) -> dict[str, str]:
        """The documentation page, and the plots it shows in images/."""
        from fulcra.report.validation import validation_markdown, validation_plots

        plots = {f"images/{name}.svg": svg for name, svg in validation_plots(self).items()}
        return {PAGE: validation_markdown(self), **plots}

    def lines(self) -> tuple[str, ...]:
        """Split, lineages, the ceiling's error, the law's AUROC, and the targets met."""
        ceilings, verdicts = self.ceilings.of(self.part) or {}, self.verdicts.of(self.part) or {}
        figures = []
        if "kl_ladder" in ceilings:
            figures.append(f"kl_ladder: MAE {ceilings['kl_ladder'].mae} in alignment")
        if "L1" in verdicts:
            figures.append(f"L1: AUROC {verdicts['L1'].auroc} for observed open")
        met = sum(target.met is True for target in self.targets)
        head = f"split {self.split_sha256[:16]}, {len(self.shown)} lineages ({self.part})"
        return head, *figures, f"{met} of {len(self.targets)} targets met"
