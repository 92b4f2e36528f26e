"""Everything a ladder could read of measured branches, gain by gain, kept model by model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fulcra.backtest.own_statistics import OwnStatistics
from fulcra.backtest.split import LineageModel
from fulcra.backtest.text_statistics import GivenText
from fulcra.errors import RunFolderError
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders.kl_ladder import CEILING_GAINS
from fulcra.organisms.domain import Domain
from fulcra.organisms.world import world_named
from fulcra.protocol.progress import Progress
from fulcra.protocol.provenance import code_version
from fulcra.protocol.results.base import Value
from fulcra.protocol.results.validation import CeilingRow
from fulcra.protocol.subject import Ground
from fulcra.store import AUDIT, MANIFEST, RunFolder, digest, read_json, write_json
from fulcra.types import Neuron

#: Branches whose curves are stored together, and how far a budget may be from the measured one:
#: files hold six digits, and another machine adds in another order.
PART, BUDGET_TOLERANCE = 12, 1e-3
#: Rungs in a row without one coherent rollout above which no dose is rolled out.
STOPPED = 2


class BranchCurves(Value):
    """The statistics of one branch by name, one value a rung; None is not defined there.

    Those of own text end where coherence has: shorter than the ladder.
    """

    branch: str
    curves: dict[str, tuple[float | None, ...]]


class ModelCurves(Value):
    """The curves of one model's measured branches, and the same statistics undosed.

    `level` is the surprise level of its standard [nats], `code` what the curves were made by.
    """

    model: str
    model_sha256: str
    generic_sha256: str
    code: str
    level: float
    undosed: dict[str, float]
    branches: tuple[BranchCurves, ...]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Both readers of one model: of text that is there, and of what it writes itself."""

    text: GivenText
    own: OwnStatistics

    @classmethod
    def of(cls, member: LineageModel, ground: Ground) -> "Statistics":
        """The readers of a lineage's model, its openings those that ceilings are forecast on."""
        lineage = member.lineage
        domain: Domain | None = None
        if lineage.openings != "plain":
            domain = world_named(lineage.world).domain
        return cls(GivenText.of(ground), OwnStatistics(ground, domain))

    def undosed(self) -> dict[str, float]:
        """Every statistic without a dose."""
        return self.text.statistics([None])[0] | self.own.statistics([()])[0]

    def curves(self, places: Sequence[Coordinate]) -> list[BranchCurves]:
        """Every statistic of some branches: of given text on all rungs that exist.

        Of own text from below, until all rollouts of STOPPED rungs in a row have lost coherence.
        """
        made = []
        for place, own in zip(places, self._climbed(places), strict=True):
            doses = [place.dose(gain) for gain in CEILING_GAINS[: place.rungs(CEILING_GAINS)]]
            curves = _columns(self.text.statistics(doses)) | _columns(own)
            made.append(BranchCurves(branch=str(place.branch), curves=curves))
        return made

    def _climbed(self, places: Sequence[Coordinate]) -> list[list[dict[str, float]]]:
        """The statistics of own text, rung by rung, for all branches that still climb."""
        rungs: list[list[dict[str, float]]] = [[] for _ in places]
        for number, gain in enumerate(CEILING_GAINS):
            climbing = [
                i
                for i, place in enumerate(places)
                if number < place.rungs(CEILING_GAINS) and not _all_lost(rungs[i])
            ]
            doses = [(places[i].dose(gain),) for i in climbing]
            for i, row in zip(climbing, self.own.statistics(doses), strict=True):
                rungs[i].append(row)
        return rungs


def _all_lost(rungs: Sequence[dict[str, float]]) -> bool:
    return len(rungs) >= STOPPED and all(row["lost_32"] == 1.0 for row in rungs[-STOPPED:])


def _columns(rungs: Sequence[dict[str, float]]) -> dict[str, tuple[float | None, ...]]:
    names = dict.fromkeys(name for rung in rungs for name in rung)
    return {name: tuple(rung.get(name) for rung in rungs) for name in names}


def model_curves(
    member: LineageModel, rows: Sequence[CeilingRow], seed: int, path: Path, progress: Progress
) -> ModelCurves:
    """The curves of the branches of `rows`, kept in `path`: an interrupted study goes on.

    Finished ones are read back whatever code asks, for figures are made again without a model; they
    say what code made them. RunFolderError where the model is not the one that was measured. Cost:
    each branch on every rung, about 10 passes over 16 texts and 16 rollouts of 48 tokens.
    """
    asked_for = {
        "model_sha256": member.model.sha256,
        "seed": seed,
        "branches": digest([row.branch for row in rows]),
    }
    folder = RunFolder(path)
    if not folder.finished:
        command = {"command": "ladders", "model": member.model.name}
        folder = RunFolder.open(path, {**command, **asked_for, "code": code_version()})
        write_json(path / AUDIT, _curves(member, rows, seed, folder, progress).plain())
        folder.drop_parts()
    manifest = read_json(path / MANIFEST)
    if any(manifest.get(name) != value for name, value in asked_for.items()):
        raise RunFolderError(f"--out {path}: holds the curves of other branches; choose another")
    return ModelCurves.model_validate(read_json(path / AUDIT))


def _curves(
    member: LineageModel,
    rows: Sequence[CeilingRow],
    seed: int,
    folder: RunFolder,
    progress: Progress,
) -> ModelCurves:
    model, ground = member.model, member.ground(seed)
    places = [ground.coordinate(Neuron.parse(row.branch)) for row in rows]
    _require_measured(member, places, rows)
    statistics = Statistics.of(member, ground)
    progress.begin(f"{model.name} curves", len(places))
    made: list[BranchCurves] = []
    for number, start in enumerate(range(0, len(places), PART)):
        part, path = places[start : start + PART], folder.parts / f"curves-{number}.json"
        if not path.exists():
            write_json(path, [row.plain() for row in statistics.curves(part)])
        made += map(BranchCurves.model_validate, read_json(path))
        progress.advance(len(part))
    return ModelCurves(
        model=model.name,
        model_sha256=model.sha256,
        generic_sha256=ground.text.sha256,
        code=code_version(),
        level=ground.standard.surprise_level,
        undosed=statistics.undosed(),
        branches=tuple(made),
    )


def _require_measured(
    member: LineageModel, places: Sequence[Coordinate], rows: Sequence[CeilingRow]
) -> None:
    """RunFolderError where the branches have other budgets than those whose ceilings stand."""
    for place, row in zip(places, rows, strict=True):
        if not math.isclose(place.budget, row.budget, rel_tol=BUDGET_TOLERANCE):
            raise RunFolderError(
                f"{member.model.name} {row.branch}: budget {place.budget:.6g}, measured at"
                f" {row.budget:.6g}; the study measured another model, or on other openings"
            )
