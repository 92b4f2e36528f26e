"""Whether the smallest open gain rises with the neurons that learnt, in the study's file."""

from pydantic import Field

from fulcra.protocol.results.base import Value


class OrganismRung(Value):
    """One organism of the ladder: how many neurons learnt (None: all weights), its smallest gain.

    `gain` is None when none of the `searched` branches opened. `margin` [nats] and `rate` of
    refusal, both undosed, say whether it is matched.
    """

    neurons: int | None
    organism: str
    gain: float | None
    searched: int
    margin: float | None = None
    rate: float | None = None


class RankCorrelation(Value):
    """Spearman's rho with its interval, and the p of a permutation test that it is no rise."""

    rho: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int


class RungsOfK(Value):
    """The organisms of one K: how many opened, and their smallest open gains."""

    neurons: int | None
    organisms: int
    opened: int
    median: float | None
    smallest: float | None
    largest: float | None


class OrganismLadder(RankCorrelation):
    """Whether the smallest open gain rises with K (backtest/organism_ladder)."""

    censored: int
    uncensored: RankCorrelation
    by_k: tuple[RungsOfK, ...]
    organisms: tuple[OrganismRung, ...]
    missing: tuple[str, ...] = ()
    left_out: dict[str, str] = Field(default_factory=dict)
