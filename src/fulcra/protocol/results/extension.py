"""An extension of a finished run: more confirmation prompts for its undetermined branches."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from fulcra.protocol.results.base import Named, Provenance, Result, Timing, Value
from fulcra.protocol.results.seal import SHA256, SealedFile
from fulcra.store import EXTENSION, digest
from fulcra.types import Verdict


class Ladder(Value):
    """A branch that is extended, and the gains at which it is dosed again."""

    branch: str
    gains: tuple[float, ...]


class ExtensionPlan(Value):
    """What is committed before the first dosed rollout of an extension.

    `extends` is the root of the run's seal, `extended_commitment` the hash of its commitment.
    `prompts` are ids in their order, `prompts_sha256` the hash of their texts; `behavior_sha256`
    that of the behavior with these prompts as its confirmation.
    """

    command: str
    extends: str = Field(pattern=SHA256)
    model: str
    model_sha256: str
    dtype: str
    behavior: str
    behavior_sha256: str
    settings: dict[str, Any]
    code: str
    extended_commitment: str = Field(pattern=SHA256)
    branches: tuple[Ladder, ...]
    prompts: tuple[str, ...]
    prompts_sha256: str = Field(pattern=SHA256)
    horizons: tuple[int, ...]
    level: float
    rule: str


class Count(Value):
    """How many rollouts flipped, of how many on prompts that do not flip undosed."""

    flipped: int
    n: int


class ExtendedBranch(Value):
    """One branch at the gain that flips most prompts of both looks, with its interval at `level`.

    `run` counts the prompts of the run, `more` those of the extension.
    """

    branch: str
    gain: float
    run: Count
    more: Count
    rate: float
    low: float
    high: float
    level: float
    observed_open: bool
    smallest_open_gain: float | None
    verdict_before: Verdict
    verdict: Verdict


class MorePrompts(Value):
    """The new prompts undosed: how many, on how many the behavior shows, and how many flip."""

    n: int
    shown: int
    leaking: int


class Looked(Value):
    """What commitment and rollouts of a run and of its extension determine."""

    prompts: MorePrompts
    branches: tuple[ExtendedBranch, ...]


class ExtensionResult(Result):
    """The undetermined branches of a run after more prompts; of the run itself nothing changes."""

    file: ClassVar[str] = EXTENSION

    schema_version: Literal[1]
    extends: str
    commitment_sha256: str
    model: Named
    behavior: Named
    rule: str
    not_measured: str
    prompts: MorePrompts
    branches: tuple[ExtendedBranch, ...]
    same_code: bool
    provenance: Provenance
    timing: Timing | None = None

    @property
    def looked(self) -> Looked:
        """What commitments and rollouts determine of it."""
        return Looked(prompts=self.prompts, branches=self.branches)

    @property
    def decided(self) -> int:
        """How many branches are no longer undetermined."""
        return sum(branch.verdict != "undetermined" for branch in self.branches)

    def lines(self) -> tuple[str, ...]:
        """How many branches are decided now, and by how many more prompts."""
        total, count = len(self.branches), self.prompts.n - self.prompts.leaking
        return (f"{self.decided} of {total} undetermined branches decided by {count} more prompts",)


class ExtensionSeal(Value):
    """The digest of every file of an extension, and the root of the run that it extends."""

    schema_version: Literal[1]
    extends: str = Field(pattern=SHA256)
    files: dict[str, SealedFile]
    rows: int
    shards_root: str = Field(pattern=SHA256)
    root: str = Field(pattern=SHA256)

    @property
    def made_root(self) -> str:
        """The root made again from what the seal holds."""
        return digest({key: value for key, value in self.plain().items() if key != "root"})
