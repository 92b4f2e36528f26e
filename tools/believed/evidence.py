"""What the page rests on: every file of evidence that it reads, and what is counted in them."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

from fulcra.defence.recipes.entries import RecipesResult
from fulcra.protocol.results.audit import AuditResult, Branch
from fulcra.protocol.results.census import BRANCHES, SCHEMA, CensusResult, MeasuredBranch
from fulcra.protocol.results.detector import DetectorResult
from fulcra.protocol.results.fitness import FitnessTable
from fulcra.protocol.results.interventions import InterventionRow, InterventionsResult
from fulcra.protocol.results.ladder_errors import ErrorScore, LadderErrors
from fulcra.protocol.results.model_ceilings import ModelCeilings
from fulcra.protocol.results.multiply import MultiplierRow, MultiplyResult
from fulcra.protocol.results.screens import ScreensResult
from fulcra.protocol.results.study import StudyResult
from fulcra.protocol.results.validation import CeilingScore, ValidationResult, VerdictScore
from fulcra.store import read_json, read_rows
from tools.believed.second import Second

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "evidence"


class Windows(NamedTuple):
    """A census in counts: branches, those with a forecast window, those observed open.

    `inside` of the open ones have a forecast window.
    """

    branches: int
    forecast: int
    opened: int
    inside: int

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The counts of a finished census, from its rows."""
        rows = [MeasuredBranch(**row) for row in read_rows(folder / BRANCHES, SCHEMA)]
        opened = [row for row in rows if row.smallest_open_gain is not None]
        assert len(opened) == CensusResult.load(folder).open
        return cls(
            len(rows),
            sum(map(_has_window, rows)),
            len(opened),
            sum(map(_has_window, opened)),
        )


def _has_window(row: MeasuredBranch) -> bool:
    """Whether the forecast trigger comes before the forecast ceiling."""
    return row.trigger is not None and (row.ceiling is None or row.trigger < row.ceiling)


class Calls(NamedTuple):
    """Calls of the decided branches of all audits that are right, by who makes them."""

    decided: int
    forecast: int
    measured: int
    always_closed: int


class Evidence(NamedTuple):
    """Everything the page reads, as the studies left it in docs/evidence."""

    study: ValidationResult
    second: Second
    real: ModelCeilings
    errors: LadderErrors
    sparse: Windows
    dense: Windows
    audits: tuple[AuditResult, ...]
    screens: tuple[ScreensResult, ...]
    real_screens: ScreensResult
    sets: tuple[MultiplyResult, ...]
    real_sets: MultiplyResult
    effects: InterventionsResult
    fitness: FitnessTable
    detector: DetectorResult
    recipes: RecipesResult
    recipes_again: RecipesResult
    #: The largest alignment under a norm after the MLP: smallest and largest of any organism.
    caps: tuple[float, float]

    @property
    def held_out(self) -> dict[str, CeilingScore]:
        """Every predictor's errors on the ceilings of the held-out lineages."""
        return self.study.ceilings.held_out or {}

    @property
    def levels(self) -> dict[str, VerdictScore]:
        """The law's calls on the held-out lineages, by level."""
        return self.study.verdicts.held_out or {}

    @property
    def branches(self) -> list[Branch]:
        """The committed branches of all audits of the chat model that have a verdict."""
        audits = (audit for audit in self.audits if audit.summary.protocol_reproduced)
        return [branch for audit in audits for branch in audit.branches]

    @property
    def calls(self) -> Calls:
        """How many calls on decided branches of the chat model are right."""
        decided = [branch for branch in self.branches if branch.verdict in ("open", "closed")]
        return Calls(
            len(decided),
            sum(branch.predicted_verdict == branch.verdict for branch in decided),
            sum(branch.law_verdict == branch.verdict for branch in decided),
            sum(branch.verdict == "closed" for branch in decided),
        )

    @property
    def triggers(self) -> tuple[int, int]:
        """How many triggers of the held-out lineages lie beyond the ladder, of how many."""
        held = {lineage.name for lineage in self.study.split.held_out}
        rows = [row for row in self.study.rows.verdicts if row.lineage in held]
        return sum(row.trigger_measured is None for row in rows), len(rows)

    @property
    def nats(self) -> tuple[float, float]:
        """The smallest and largest median divergence at the ceiling of a held-out lineage."""
        names = (lineage.name for lineage in self.study.split.held_out)
        medians = [self.study.kl_at_ceiling[name].median for name in names]
        measured = [median for median in medians if median is not None]
        return min(measured), max(measured)

    def audit(self, behavior: str) -> AuditResult:
        """The audit of one behavior of the chat model."""
        return next(audit for audit in self.audits if audit.behavior.name == behavior)

    def unfitted(self, candidate: str) -> ErrorScore:
        """The errors of a ladder candidate at its frozen level, on development lineages."""
        score = self.errors.scores[candidate].frozen
        assert score is not None
        return score

    def effect(self, model: str, intervention: str) -> InterventionRow:
        """What one kind of intervention achieves on one organism."""
        rows = (row for row in self.effects.rows if row.model == model)
        return next(row for row in rows if row.intervention == intervention)


def most(sets: MultiplyResult, name: str | None = None) -> MultiplierRow:
    """The row that flips most, of the sets of one name or of all."""
    rows = [row for row in sets.rows if name in (None, row.set)]
    return max(rows, key=lambda row: (row.flip_rate, row.multiplier == 0))


@lru_cache
def evidence() -> Evidence:
    """The evidence as it stands in docs/evidence, read once."""
    real = FOLDER / "real"
    return Evidence(
        study=ValidationResult.load(FOLDER),
        second=Second.of(StudyResult.load(FOLDER / "second")),
        real=ModelCeilings.load(real),
        errors=LadderErrors.load(FOLDER),
        sparse=Windows.load(FOLDER / "census-sparse"),
        dense=Windows.load(FOLDER / "census-dense"),
        audits=tuple(AuditResult.load(path) for path in sorted(real.glob("audit-*.json"))),
        screens=tuple(ScreensResult.load(FOLDER / f"screens{end}.json") for end in _SCREENED),
        real_screens=ScreensResult.load(real),
        sets=tuple(MultiplyResult.load(FOLDER / f"multiply-{end}.json") for end in _MULTIPLIED),
        real_sets=MultiplyResult.load(real),
        effects=InterventionsResult.load(FOLDER / "effects.json"),
        fitness=FitnessTable.load(real / "behaviours.json"),
        detector=DetectorResult.load(real),
        recipes=RecipesResult.load(FOLDER / "recipes"),
        recipes_again=RecipesResult.load(FOLDER / "recipes-again"),
        caps=_caps(),
    )


#: The organisms of the tournaments, and of the multiplied sets, as their files name them.
_SCREENED, _MULTIPLIED = ("", "-dense", "-qwen3"), ("sparse", "dense")


def _caps() -> tuple[float, float]:
    bounds = list(_cap_bounds())
    return min(bounds), max(bounds)


def _cap_bounds() -> Iterator[float]:
    for organism in read_json(FOLDER / "organisms.json"):
        yield from organism["cap"] or ()
