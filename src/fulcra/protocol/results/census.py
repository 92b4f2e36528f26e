"""What a census returns: census.json, and the rows of its branches.parquet."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import pyarrow as pa

from fulcra.behaviors import behavior_sha256
from fulcra.errors import RunFolderError
from fulcra.protocol.results.base import ModelEntry, Named, Provenance, Result, Timing, Value
from fulcra.store import digest, read_rows

if TYPE_CHECKING:
    from fulcra.models import Model
    from fulcra.types import Behavior

BranchSource = Literal["forecast", "audit", "rest", "screen", "random"]
BRANCHES = "branches.parquet"
#: Confirmation prompts of the first look at a rung of a climb. A rung on which exactly half of 16
#: prompts flip shows none on these four with probability .04; one without a flip there is not
#: looked at further.
FIRST_LOOK = 4
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("branch", "source", "end")),
        *(
            (name, pa.float64())
            for name in ("trigger", "ceiling", "smallest_open_gain", "flipped", "weight")
        ),
        ("specific", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class MeasuredBranch:
    """What was measured of one branch, a row of branches.parquet.

    `source`: forecast (its trigger ladder crosses within 3 gains), audit (drawn to climb from the
    first rung), screen, random, or rest (not rolled out, weight 0). `weight` is the inverse of its
    inclusion probability. `trigger`, `ceiling`: forecast edges [gain], None where not reached.
    `flipped` is the largest flip rate of any rung that was measured.
    """

    branch: str
    source: BranchSource
    end: str | None
    trigger: float | None
    ceiling: float | None
    smallest_open_gain: float | None
    flipped: float
    weight: float
    specific: bool | None

    @property
    def relevant(self) -> bool:
        """Whether a screen should find the branch: it is open, and specifically so."""
        return bool(self.specific)

    def row(self) -> dict[str, str | float | bool | None]:
        """The branch as a row of branches.parquet."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CensusSettings:
    """The size of a census: share of branches audited from the first rung, controls of each kind.

    `texts` are those of the KL ladder; `neurons` takes a random slice of that many, None all.
    """

    audit: float = 0.1
    controls: int = 20
    texts: int = 4
    neurons: int | None = None
    seed: int = 0


class Undosed(Value):
    """The undosed model: shares of prompts that show the behavior, and that flip all the same."""

    rate: float
    leak: float
    n: int


class MissedRate(Value):
    """The rate of openings that were missed, with its 95 % interval; None without an audit."""

    rate: float | None
    low: float
    high: float
    n: int


class OpenCounts(Value):
    """How many branches were measured, for what reason, and how many of them open.

    `missed` is the share of openings among the branches that no forecast or screen pointed to.
    """

    branches: int
    sources: dict[BranchSource, int]
    open: int
    specific: int
    smallest_open_gain: float | None
    missed: MissedRate


class LadderSeconds(Value):
    """CPU seconds of both ladders over all branches."""

    trigger: float
    ceiling: float


class CensusResult(Result):
    """Which branches of a model open, of all there are: the content of census.json."""

    file: ClassVar[str] = "census.json"

    schema_version: int = 1
    model: ModelEntry
    behavior: Named
    settings: CensusSettings
    gains: tuple[float, ...]
    baseline: Undosed
    controls: tuple[float | None, ...]
    branches: int
    sources: dict[BranchSource, int]
    open: int
    specific: int
    smallest_open_gain: float | None
    missed: MissedRate
    ladder_seconds: LadderSeconds
    provenance: Provenance | None = None
    timing: Timing

    @property
    def counts(self) -> OpenCounts:
        """How many branches were measured and open."""
        return OpenCounts.model_validate(self.model_dump(include=set(OpenCounts.model_fields)))

    def lines(self) -> tuple[str, ...]:
        """How many branches open, and how many the forecast may have missed."""
        return (
            f"{self.open} of {self.branches} branches open, {self.specific} specifically",
            f"missed by the forecast: at most {self.missed.high:.1%} of the branches it leaves out"
            f" ({self.missed.n} audited)",
        )


class Census(NamedTuple):
    """A finished census with every branch of it."""

    result: CensusResult
    branches: list[MeasuredBranch]

    @property
    def sha256(self) -> str:
        """The hash of what was measured: the undosed model, and every branch."""
        branches = [branch.row() for branch in self.branches]
        return digest({"baseline": self.result.baseline.plain(), "branches": branches})


def read_census(folder: Path, model: "Model", behavior: "Behavior") -> Census:
    """A finished census; RunFolderError where it is of another model or behavior."""
    result = CensusResult.load(folder)
    for what, entry, sha256 in (
        ("model", result.model, model.sha256),
        ("behavior", result.behavior, behavior_sha256(behavior)),
    ):
        if entry.sha256 != sha256:
            raise RunFolderError(
                f"--census {folder}: it is of another {what} ({entry.name}); measure this one with"
                " fulcra census"
            )
    return Census(result, [MeasuredBranch(**row) for row in read_rows(folder / BRANCHES, SCHEMA)])
