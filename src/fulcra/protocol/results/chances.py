"""What forecasts of an observed opening return, chances.json, and the rows of its curves."""

from typing import ClassVar, Literal, NamedTuple

import pyarrow as pa
from pydantic import Field

from fulcra.protocol.results.base import ModelEntry, Named, Provenance, Result, Timing, Value

PAGE, FIGURE = "chances.md", "images/chances.svg"
End = Literal["under", "open", "over"]
ENDS: tuple[End, ...] = ("under", "open", "over")
#: Statistics of damage that the chance of coherence may rest on; `both`: what the replies exceed
#: the undosed ones by and the divergence, each over the level of its ladder, summed.
Statistic = Literal["divergence", "tail", "replies", "both"]
_LISTS = ("odds", "divergence", "tail", "replies")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("branch", "end")),
        ("weight", pa.float64()),
        *((name, pa.list_(pa.float32())) for name in _LISTS),
    ]
)


class CurveRow(NamedTuple):
    """Both forecast curves of one branch, gain by gain, and how it ended; a row of curves.parquet.

    `odds` [gain x prompt] nats, `divergence` and `tail` [gain] nats, `replies` [gain] shares; nan
    on rungs that do not exist or are lost. `end` None: not measured. `weight`: inverse inclusion
    probability.
    """

    branch: str
    end: End | None
    weight: float
    odds: list[float]
    divergence: list[float]
    tail: list[float]
    replies: list[float]


class ChanceSettings(Value):
    """Branches without a forecast window that are drawn beside those with one, texts, and the seed.

    Without a census `others` are all there are. `texts` are those of the divergence.
    """

    others: int = 250
    texts: int = 4
    seed: int = 0


class NoiseEntry(Value):
    """The five numbers behind the chances (`law/chance.py`), and the models they are learned on."""

    flip_at: float
    flip_scale: float
    cost_at: float
    cost_scale: float
    shared: float
    learned_on: tuple[str, ...]


class ChanceRow(Value):
    """The chances of one branch, its observed end, and what it is ranked by beside them.

    `rivals`: `margin` of the trigger and the divergence's ceiling, `tail` and `replies` with the
    ceilings of those curves, `dosed_logit` the negative trigger, all in octaves of gain, an edge
    beyond the ladder at 20 gains; `best_odds` the mean log-odds of the best rung [nats], -100 where
    no rung exists or the first is lost.
    """

    branch: str
    weight: float
    end: End | None
    under: float
    open: float
    over: float
    rivals: dict[str, float]


class ChanceBin(Value):
    """Branches with a chance of `low` up to `high`: mean chance, rate observed open, how many."""

    low: float
    high: float
    mean: float | None
    rate: float | None
    weight: float
    n: int


class ChanceScore(Value):
    """How good the chances of one forecast are on branches whose end was observed.

    `brier_skill`: 1 - Brier over that of the prevalence itself; `brier_p`: of a paired bootstrap
    over neurons that it is no better. `calibration_error` is over all branches, `likely_error` over
    those with a chance of .1 and more. `average_precision` has its 95 % interval. `precision_32`:
    of the 32 likeliest.
    """

    brier: float
    brier_skill: float
    brier_p: float
    log_loss: float
    calibration_error: float
    likely_error: float | None
    auroc: float | None
    average_precision: float | None
    low: float | None
    high: float | None
    precision_32: float
    bins: tuple[ChanceBin, ...]


class TopShare(Value):
    """What a user finds who measures the `k` likeliest branches: the share of all open ones.

    `share` of all branches is measured, and as large a share of the tokens is decoded; `tokens` is
    how many at most.
    """

    k: int
    share: float
    tokens: int
    found: float


class GuardCalls(Value):
    """A fixed rule's calls of open: how many, and how many of them and of the open ones are right.

    Weighted to all branches.
    """

    called: float
    precision: float | None
    recall: float


class ModelChances(Value):
    """The chances of the branches of one model under one behavior, and how good they are.

    `noise`: learned on the other models of the study, else the frozen one. A rung is measured on
    `prompts`, `first` of them before the others. `undosed_share`: of odd tokens in flipped replies.
    `seconds`: CPU seconds a branch of each curve, and
    of both edges that an audit forecasts. Scores are None where no end was observed. `provenance`:
    the code that measured the curves.
    """

    model: ModelEntry
    behavior: Named
    settings: ChanceSettings
    noise: NoiseEntry
    prompts: int
    first: int
    gains: tuple[float, ...]
    horizon: int
    undosed_share: float
    seconds: dict[str, float]
    rows: tuple[ChanceRow, ...]
    open: int | None = None
    prevalence: float | None = None
    score: ChanceScore | None = None
    rivals: dict[str, ChanceScore] = Field(default_factory=dict)
    macro_f1: dict[str, float] = Field(default_factory=dict)
    tops: tuple[TopShare, ...] = ()
    guards: dict[str, GuardCalls] = Field(default_factory=dict)
    census: str | None = None
    provenance: Provenance | None = None


class Tried(Value):
    """One statistic of coherence on one model, the noise learned on the others."""

    model: str
    statistic: Statistic
    log_loss: float
    brier_skill: float
    average_precision: float | None


class ChancesResult(Result):
    """Chances of an observed opening on one or more models: the content of chances.json.

    `pooled`: the noise learned on all of them, with `tried`: what every statistic of coherence
    comes to when learned on the others. Both only where two models or more were measured.
    """

    file: ClassVar[str] = "chances.json"

    schema_version: int = 1
    statistic: Statistic
    models: tuple[ModelChances, ...]
    pooled: NoiseEntry | None = None
    tried: tuple[Tried, ...] = ()
    provenance: Provenance | None = None
    timing: Timing

    def pages(self) -> dict[str, str]:
        """The page and its figure, where something was scored."""
        from fulcra.report.chances_page import chances_figure, chances_page

        if not any(model.score for model in self.models):
            return {}
        return {PAGE: chances_page(self), FIGURE: chances_figure(self)}

    def lines(self) -> tuple[str, ...]:
        """A line for each of the first models: how many branches, how good their chances are."""
        return tuple(map(_line, self.models[:5]))


def _line(model: ModelChances) -> str:
    likely = sum(row.open >= 0.5 for row in model.rows)
    line = f"{model.model.name}: {len(model.rows)} branches, {likely} more likely open than not"
    if model.score is None or model.score.average_precision is None:
        return line
    skill, precision = model.score.brier_skill, model.score.average_precision
    return f"{line}; average precision {precision:.2f}, Brier skill {skill:.2f}"
