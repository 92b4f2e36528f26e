"""A registered study as study.json holds it: its design, every figure, the rows beneath them."""

import math
from typing import ClassVar

from fulcra.protocol.results.base import Provenance, Result, Timing, Value
from fulcra.protocol.results.bounded import Bounded
from fulcra.protocol.results.chances import ChanceScore, GuardCalls, ModelChances, TopShare
from fulcra.protocol.results.depth import Depth
from fulcra.protocol.results.design import Design
from fulcra.protocol.results.seal import Link
from fulcra.protocol.results.validation import (
    CeilingRow,
    CeilingScore,
    MedianNats,
    NoiseFloor,
    ProtocolRow,
    Target,
    VerdictRow,
    VerdictScore,
)
from fulcra.protocol.results.weights import Weights

PAGE = "study.md"


class Ranked(Value):
    """How well one score ranks what opens: average precision with its 95 % interval, AUROC."""

    average_precision: float | None
    low: float | None
    high: float | None
    auroc: float | None


class CeilingFigures(Value):
    """The predictors of ceilings on one group of branches.

    `better`: how much smaller the tested predictor's mean error is than `kl_ladder`'s, on the
    branches that both put on the ladder; `better_p` that it is not, of a paired bootstrap (lineage,
    then neuron).
    """

    scores: dict[str, CeilingScore]
    better: float | None
    better_p: float | None
    noise: NoiseFloor
    kl_at_ceiling: MedianNats


class VerdictFigures(Value):
    """The calls and chances on one group of drawn branches, weighed where that is said.

    `prevalence`: of open branches in the pools, by weight; `open` and `n` are counted. `ranks`: how
    levels rank what opens. `over_trigger_p`: of a paired bootstrap that L3 ranks no better than the
    trigger alone; `within`: AUROC of L3 between branches of the same case. `chance`: of the
    chances, `ratio` forecast over observed openings of the pools, `rivals` what ranks besides;
    `case_brier_p` that they are no better than the prevalence of each case. `modes`: the weighed
    share of each failure mode among closed branches.
    """

    n: int
    open: int
    prevalence: float
    levels: dict[str, VerdictScore]
    ranks: dict[str, Bounded]
    over_trigger_p: float | None
    within: float | None
    chance: ChanceScore
    ratio: Bounded
    case_brier_p: float
    rivals: dict[str, Ranked]
    modes: dict[str, float]


class LearnedChance(Ranked):
    """How good the chance is that one score gives, learned on the other lineages of the study."""

    brier: float
    log_loss: float


class Beside(Value):
    """What the design does not name, of the drawn branches of one group, weighed to their pools.

    `ends`: the macro-F1 of under, open and over, by way of calling them. `learned`: the chances,
    and their rivals turned into chances. `guards`: fixed rules for open. `tops`: what the likeliest
    branches hold.
    """

    ends: dict[str, Bounded]
    learned: dict[str, LearnedChance]
    guards: dict[str, GuardCalls]
    tops: tuple[TopShare, ...]


class Group(Value):
    """The figures of a group of lineages; None where nothing of it was measured."""

    lineages: tuple[str, ...]
    ceilings: CeilingFigures | None
    verdicts: VerdictFigures | None


class StudyCases(Value):
    """What the figures are made of."""

    ceilings: tuple[CeilingRow, ...]
    verdicts: tuple[VerdictRow, ...]
    chances: tuple[ModelChances, ...]


class StudyResult(Result):
    """The whole registered study: the content of study.json.

    `registered` is the entry of the design in the ledger, `weights` what stands there of its
    models. `predicted`: the hash of the predicted ceilings of each model. `groups`: `held_out` all
    that nobody had looked at, the same without each recipe and without what was not finished, then
    each lineage, those apart too. `depth`: what stands beneath the law in the same groups, from the
    files of the cases. `beside`: of the same groups, what the design does not name.
    """

    file: ClassVar[str] = "study.json"

    schema_version: int = 1
    design: Design
    design_sha256: str
    registered: Link
    weights: Weights
    protocol: tuple[ProtocolRow, ...]
    predicted: dict[str, str]
    left_out: dict[str, str]
    groups: dict[str, Group]
    depth: dict[str, Depth]
    beside: dict[str, Beside]
    targets: tuple[Target, ...]
    rows: StudyCases
    provenance: Provenance | None = None
    timing: Timing

    def opened(self, behavior: str) -> list[float]:
        """The measured triggers [gain] of held-out branches observed open, in order.

        Under a behavior in every world that has it; inf is beyond what was measured.
        """
        lineages = self.groups["held_out"].lineages
        return sorted(
            math.inf if row.trigger_measured is None else row.trigger_measured
            for row in self.rows.verdicts
            if row.observed_open
            and row.lineage in lineages
            and row.behavior.partition("@")[0] == behavior
        )

    def pages(self) -> dict[str, str]:
        """The page of the study, and the drawings that it shows in images/."""
        from fulcra.report.study_figures import drawings
        from fulcra.report.study_page import study_page

        return {PAGE: study_page(self), **drawings(self)}

    def lines(self) -> tuple[str, ...]:
        """What was wanted, what was found, and whether it is met."""
        marks = {True: "met", False: "missed", None: "undecided"}
        return tuple(f"{marks[each.met]}: {each.claim}: {each.found}" for each in self.targets)
