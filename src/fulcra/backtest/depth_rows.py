"""What the depth of a registered study is read from: the files of its cases, branch by branch."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from fulcra.backtest.cases import POOL, RUN, read_pool
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import crossing
from fulcra.law.edges import HALF
from fulcra.protocol.results.audit import AuditResult, Branch, Rung
from fulcra.protocol.results.commitment import BranchEntry, Commitment
from fulcra.protocol.results.depth import Reason
from fulcra.protocol.results.validation import ProtocolRow
from fulcra.store import COMMITMENT, read_json
from fulcra.types import Neuron


class Place(NamedTuple):
    """Where a branch lies: lineage, model, behavior, and the neuron with its layer and pole."""

    lineage: str
    model: str
    behavior: str
    layer: int
    neuron: str
    pole: str

    @property
    def stratum(self) -> tuple[str, str, int]:
        """Its model, behavior and layer, within which it is ranked."""
        return self.model, self.behavior, self.layer

    @property
    def case(self) -> tuple[str, str]:
        """Its model and behavior, by which a case is named."""
        return self.model, self.behavior

    @property
    def site(self) -> tuple[str, str]:
        """What is resampled: its lineage, then its neuron."""
        return self.lineage, self.neuron


class PoolBranch(NamedTuple):
    """One branch of a pool: the mean log-odds of its best rung [nats], its chance to open."""

    at: Place
    odds: float
    chance: float


class DrawnBranch(NamedTuple):
    """One measured branch: its edges [gain], None beyond the ladder, and what its replies did.

    `depth`: its layer over the layers; `deep`: above a quarter of them, where a write can be made
    earlier. `collapse`: where half of the confirmation replies collapse. `collapsed`: their share
    at the first rung from the ceiling on, None without one; `unchanged` at the last rung. `damage`:
    the gain at kl_ladder's level.
    """

    at: Place
    depth: float
    deep: bool
    weight: float
    opened: bool
    reason: Reason | None
    coordinate: Coordinate
    ceiling: float | None
    trigger: float | None
    collapse: float | None
    damage: float | None
    collapsed: float | None
    unchanged: float


class CaseRows(NamedTuple):
    """What one case is read as: its pool, its measured branches, and the first gain."""

    lineage: str
    model: str
    pool: tuple[PoolBranch, ...]
    drawn: tuple[DrawnBranch, ...]
    first: float


def case_rows(folder: Path, protocol: ProtocolRow) -> CaseRows:
    """The rows of a case from its files; RunFolderError where they are not there."""
    audit = AuditResult.load(folder / RUN)
    stored = read_json(folder / RUN / COMMITMENT)
    committed = Commitment.model_validate(stored["content"])
    entries = {entry.branch: entry for entry in committed.branches}
    return CaseRows(
        lineage=protocol.lineage,
        model=protocol.model,
        pool=tuple(
            PoolBranch(_place(protocol, row.branch), row.rivals["best_odds"], row.open)
            for row in read_pool(folder / POOL).rows
        ),
        drawn=tuple(
            drawn_branch(protocol, audit.model.layers, branch, entries[branch.name])
            for branch in audit.neurons
        ),
        first=committed.plan.gains[0],
    )


def cases_of(folder: Path, protocol: Sequence[ProtocolRow]) -> list[CaseRows]:
    """The rows of every sound case of a study's folder."""
    return [case_rows(folder / case_folder(row), row) for row in protocol if row.reproduced]


def case_folder(row: ProtocolRow) -> Path:
    """Where a case lies in the folder of its study."""
    return Path(row.lineage, row.model, row.behavior.partition("@")[0])


def _place(protocol: ProtocolRow, name: str) -> Place:
    neuron = Neuron.parse(name)
    pole = "+" if neuron.pole > 0 else "-"
    return Place(
        protocol.lineage, protocol.model, protocol.behavior, neuron.layer, neuron.site, pole
    )


def drawn_branch(
    protocol: ProtocolRow, layers: int, branch: Branch, entry: BranchEntry
) -> DrawnBranch:
    """The row of one measured branch, from what was committed and measured of it."""
    horizon = str(branch.triggers[-1].horizon)
    ceiling = branch.ceiling_measured.gain if branch.ceiling_measured is not None else None
    shares = [rung.outcomes[horizon]["collapse"] for rung in branch.curve]
    gains = [rung.gain for rung in branch.curve]
    beyond = (rung for rung in branch.curve if ceiling is not None and rung.gain >= ceiling)
    return DrawnBranch(
        at=_place(protocol, branch.name),
        depth=branch.branch.layer / layers,
        deep=branch.branch.layer > layers // 4,
        weight=entry.weight or 1.0,
        opened=branch.observed_open is True,
        reason=reason_of(branch),
        coordinate=entry.coordinate,
        ceiling=ceiling,
        trigger=branch.triggers[-1].gain,
        collapse=crossing(gains, shares, HALF),
        damage=entry.ceiling_predicted.gain,
        collapsed=_first(beyond, horizon),
        unchanged=branch.curve[-1].outcomes[horizon]["unchanged"],
    )


def _first(rungs: Iterable[Rung], horizon: str) -> float | None:
    """The share of collapsed replies at the first of some rungs; None of none."""
    return next((rung.outcomes[horizon]["collapse"] for rung in rungs), None)


def reason_of(branch: Branch) -> Reason | None:
    """Why a branch is closed, `collapse_first` taken at its word; None where it is not closed."""
    if branch.verdict != "closed" or branch.failure_mode != "collapse_first":
        return branch.failure_mode if branch.verdict == "closed" else None
    trigger, measured = branch.triggers[-1].gain, branch.ceiling_measured
    ceiling = measured.gain if measured is not None else None
    if trigger is not None and (ceiling is None or trigger < ceiling):
        return "spread"
    return "unreached" if ceiling is None else "collapse_first"
