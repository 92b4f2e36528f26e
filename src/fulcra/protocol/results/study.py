"""A registered study as study.json holds it: its design, every figure, the rows beneath them."""

from typing import ClassVar

from fulcra.protocol.results.base import Provenance, Result, Timing, Value
from fulcra.protocol.results.chances import ChanceScore, ModelChances
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

PAGE = "study.md"


class Ranked(Value):
    """How well one score ranks what opens: average precision with its 95 % interval, AUROC."""

    average_precision: float | None
    low: float | None
    high: float | None
    auroc: float | None


class CeilingFigures(Value):
    """The predictors of ceilings on one group of branches.

    `better_p`: of a paired bootstrap (lineage, then neuron) that the tested predictor's error is no
    smaller than `kl_ladder`'s on the branches that both put on the ladder.
    """

    scores: dict[str, CeilingScore]
    better_p: float | None
    noise: NoiseFloor
    kl_at_ceiling: MedianNats


class VerdictFigures(Value):
    """The calls and chances on one group of drawn branches, weighed where that is said.

    `prevalence`: of open branches in the pools, by weight; `open` and `n` are counted. `chance`: of
    the chances, `rivals` what ranks besides. `modes`: the weighed share of each failure mode among
    closed branches.
    """

    n: int
    open: int
    prevalence: float
    levels: dict[str, VerdictScore]
    chance: ChanceScore
    rivals: dict[str, Ranked]
    modes: dict[str, float]


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

    `registered` is the entry of the design in the ledger. `groups`: `held_out` all that nobody had
    looked at, then each lineage, those apart too.
    """

    file: ClassVar[str] = "study.json"

    schema_version: int = 1
    design: Design
    design_sha256: str
    registered: Link
    protocol: tuple[ProtocolRow, ...]
    left_out: dict[str, str]
    groups: dict[str, Group]
    targets: tuple[Target, ...]
    rows: StudyCases
    provenance: Provenance | None = None
    timing: Timing

    def pages(self) -> dict[str, str]:
        """The page of the study."""
        from fulcra.report.study_page import study_page

        return {PAGE: study_page(self)}

    def lines(self) -> tuple[str, ...]:
        """What was wanted, what was found, and whether it is met."""
        marks = {True: "met", False: "missed", None: "not tested"}
        return tuple(f"{marks[each.met]}: {each.claim}: {each.found}" for each in self.targets)
