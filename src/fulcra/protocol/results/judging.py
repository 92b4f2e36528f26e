"""A run judged again, as judgements.json holds it; what judges say of an effect is told alike."""

from typing import ClassVar

from pydantic import Field

from fulcra.protocol.results.base import Provenance, Result, Value

#: The outcomes that a run gave by itself, as one more judge.
RUN = "run"


class Rate(Value):
    """A rate of `n` with its 95 % interval; None where nothing was counted."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class Share(Value):
    """How often each outcome was given, and the rate of flips among what was scored."""

    counts: dict[str, int]
    flips: Rate


class Paired(Value):
    """Means of a figure without and with an edit, and their difference over the same items.

    `difference` and its 95 % bootstrap interval are None below two items scored on both sides.
    """

    clean: float | None
    edited: float | None
    n: int
    unscored: int
    difference: float | None
    low: float | None
    high: float | None


class UsageEntry(Value):
    """What judging has cost: requests, tokens read and written, answers without a token count."""

    requests: int
    read: int
    written: int
    uncounted: int


class PriceEntry(Value):
    """What a million tokens cost that a judge reads and that it writes."""

    read: float
    written: float


class JudgeEntry(Value):
    """One judge: who it is, what it scored, what it cost; of the run itself its name alone.

    `unscored` counts reasons; `figures` are the judge's own figures of an effect.
    """

    name: str
    identity: dict[str, str] = Field(default_factory=dict)
    scored: int = 0
    unscored: dict[str, int] = Field(default_factory=dict)
    usage: UsageEntry = UsageEntry(requests=0, read=0, written=0, uncounted=0)
    from_disk: int = 0
    price: PriceEntry | None = None
    cost: float | None = None
    figures: dict[str, Paired] = Field(default_factory=dict)


class PairAgreement(Value):
    """How far two judges agree on the `n` completions that both scored."""

    judges: tuple[str, str]
    n: int
    same: int
    kappa: float | None
    kappa_flip: float | None


class JudgeAgreement(Value):
    """How far all judges agree at one horizon, on outcomes and on flips alone."""

    horizon: int
    pairs: tuple[PairAgreement, ...]
    alpha: float | None
    alpha_flip: float | None


class Disagreement(Value):
    """A completion that judges call differently, by the first rollout that ended in it."""

    horizon: int
    stage: str
    branch: str
    op: str
    dose: float
    prompt: str
    text_hash: str
    outcomes: dict[str, str | None]


class HorizonOutcomes(Value):
    """The outcomes of all rollouts at one horizon, by every judge."""

    horizon: int
    judges: dict[str, Share]


class JudgingResult(Result):
    """What judges found of the stored completions of a run, the run itself first."""

    file: ClassVar[str] = "judgements.json"

    schema_version: int
    behavior: str
    labels: dict[str, str]
    stages: tuple[str, ...]
    horizons: tuple[int, ...]
    rollouts: int
    completions: int
    judges: tuple[JudgeEntry, ...]
    outcomes: tuple[HorizonOutcomes, ...]
    agreement: tuple[JudgeAgreement, ...]
    disagreements: tuple[Disagreement, ...]
    provenance: Provenance | None = None

    def lines(self) -> tuple[str, ...]:
        """Behavior, sizes, and the flips that every judge sees at the last horizon."""
        last = self.outcomes[-1]
        flips = (
            f"{name} {'-' if share.flips.value is None else f'{share.flips.value:.2f}'}"
            for name, share in last.judges.items()
        )
        return (
            f"{self.behavior}: {self.rollouts} rollouts, {self.completions} completions",
            f"flips by {last.horizon} tokens: {', '.join(flips)}",
        )
