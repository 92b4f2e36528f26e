"""Why ladders err, as ladder-errors.json holds it: candidates, what errs by lineage, branches."""

from pathlib import Path
from typing import ClassVar

from fulcra.protocol.results.base import Provenance, Result, Timing, Value


class Estimate(Value):
    """A mean with its 95 % interval over neurons, both poles together; None where there is none."""

    value: float | None
    low: float | None
    high: float | None


class LineageError(Value):
    """One lineage's share of an error: mean |error| [cos], mean error [octaves], r of log gains."""

    cos: Estimate
    bias_log2: float | None
    correlation: float | None
    n: int


class ErrorScore(Value):
    """The errors of one forecast on measured ceilings, every figure the mean of the lineages.

    cos, log2: mean |error|; bias_log2 is positive where the forecast is late. `over_kl_ladder` is
    mean |error| [cos] less that of kl_ladder at its frozen level, branch by branch; `excess` the
    squared error [cos] above the noise of a measured ceiling, over kl_ladder's. A forecast beyond
    the ladder counts as its last rung, and in `beyond`.
    """

    cos: Estimate
    log2: Estimate
    bias_log2: float | None
    correlation: float | None
    over_kl_ladder: Estimate
    excess: float | None
    beyond: int
    lineages: dict[str, LineageError]


class CandidateScore(Value):
    """One statistic with both scores: at a level from elsewhere, and at levels chosen here.

    `tokens` are those that it lets the dosed model write (0: tier 2, else tier 4). `frozen` is None
    where no such level exists; `fitted` lets every lineage be scored at the level chosen on the
    others, `levels` by lineage; None with a single lineage.
    """

    reads: str
    tier: int
    tokens: int
    level: float | None
    frozen: ErrorScore | None
    fitted: ErrorScore | None
    levels: dict[str, float]


class Nested(Value):
    """A choice among candidates made without the lineage it is scored on, and its score.

    `chosen` by held-out lineage: the candidate, its level; both from the other lineages alone.
    """

    pool: str
    chosen: dict[str, str]
    score: ErrorScore


class Noise(Value):
    """What a perfect forecast of measured ceilings would be off by [cos; octaves]."""

    cos: float | None
    log2: float | None


class Lag(Value):
    """Ceilings by coherence over those by an organism's exact grammar, on the same rollouts.

    Octaves with their interval; `correlation` of the lag with the error of the odd share at the
    judge's level, branch by branch; `broken_undosed` is the ungrammatical share without a dose.
    """

    log2: Estimate
    correlation: float | None
    n: int
    broken_undosed: float


class LineageFacts(Value):
    """What stands behind the errors of one lineage; shares are of rollouts at the ceiling.

    entropy [nats a token] and odd_share are of undosed text. At the rung next to each ceiling:
    `by_surprise`, `by_loop_alone`: rollouts called collapsed by that sign; `odd_after_sound`,
    `odd_after_odd`: how often a token of the model's own text is odd after one that is not, or is.
    """

    models: tuple[str, ...]
    branches: int
    noise: Noise
    entropy: float
    odd_share: float
    tokens: float
    by_surprise: float
    by_loop_alone: float
    odd_after_sound: float | None
    odd_after_odd: float | None
    lag: Lag | None


class Shift(Value):
    """How far a horizon moves the ceiling from that at 32 tokens [octaves], by lineage.

    `observed` on rollouts from the openings of the forecasts; `judge` as a count of odd tokens,
    each on its own, foresees it; `hazard` as a chance of one odd token, compounded, does.
    """

    lineage: str
    tokens: int
    observed: Estimate
    judge: float | None
    hazard: float | None
    n: int


class ErrorRow(Value):
    """One branch: its measured ceiling and every forecast [gain]; None lies beyond the ladder."""

    lineage: str
    model: str
    branch: str
    neuron: str
    last: float
    measured: float
    frozen: dict[str, float | None]
    fitted: dict[str, float | None]


class CurvesOf(Value):
    """What the curves of one model were made by and on."""

    sha256: str
    generic_sha256: str
    level: float
    code: str


class LadderErrors(Result):
    """The errors of every candidate, what stands behind them by lineage, and what is frozen.

    `study_sha256` is the hash of the measured ceilings' file, `censored` counts those beyond the
    ladder, which are left out. `frozen` names the shipped forecast that generates nothing and errs
    least at its frozen level, `over_others` its mean |error| [cos] less that of each other one,
    branch by branch; `frozen_own` names the forecast from own text.
    """

    file: ClassVar[str] = "ladder-errors.json"

    schema_version: int
    provenance: Provenance
    study_sha256: str
    study_code: str
    seed: int
    curves: dict[str, CurvesOf]
    missing: tuple[str, ...]
    censored: int
    noise: Noise
    frozen: str
    over_others: dict[str, Estimate]
    frozen_own: str
    scores: dict[str, CandidateScore]
    nested: tuple[Nested, ...]
    lineages: dict[str, LineageFacts]
    horizons: tuple[Shift, ...]
    rows: tuple[ErrorRow, ...]
    timing: Timing

    def pages(self) -> dict[str, str]:
        """The documentation page, and its figure in images/."""
        from fulcra.report.ladder_errors import ladder_errors_markdown, ladder_errors_plot

        page = str(Path(self.file).with_suffix(".md"))
        return {
            page: ladder_errors_markdown(self),
            "images/ladder-errors.svg": ladder_errors_plot(self),
        }

    def lines(self) -> tuple[str, ...]:
        """The branches, the error of kl_ladder, of what is frozen, and the noise."""
        ladder, frozen = self.scores["kl_mean"].frozen, self.scores[self.frozen].frozen
        own = self.scores[self.frozen_own].frozen
        return (
            f"{len(self.rows)} ceilings of {len(self.lineages)} development lineages",
            *(
                f"{name}: mean error {_digits(score.cos.value)} in cos"
                for name, score in (
                    ("kl_ladder", ladder),
                    (self.frozen, frozen),
                    (self.frozen_own, own),
                )
                if score is not None
            ),
            f"a perfect forecast: {_digits(self.noise.cos)}",
        )


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
