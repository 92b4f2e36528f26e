"""How likely branches are to be observed open, forecast without a token, against what was seen.

Both curves of every branch are kept (curves.parquet), so that noise is learned and chances are
scored without a model. With two models or more each is forecast by noise learned on the others.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from fulcra.backtest.chance_curves import (
    CURVES,
    Member,
    Pool,
    census_pool,
    curve_rows,
    drawn_in,
    random_pool,
    read_curves,
    timed,
    write_curves,
)
from fulcra.backtest.chance_scores import Cases, chance_score, scored
from fulcra.backtest.windows import BEYOND, margin_score
from fulcra.behaviors import behavior_sha256
from fulcra.errors import RunFolderError
from fulcra.formulas.intervals import crossing
from fulcra.ladders.flip_ladder import EXCESS
from fulcra.ladders.kl_ladder import LEVEL
from fulcra.law.chance import FROZEN, LEARNED_ON, STATISTIC, Curves, Look, Noise, chances
from fulcra.law.chance_learning import Observed, learned, thinned
from fulcra.protocol.chances import ChanceTexts, combined_cost, undosed_share
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.census import Census, read_census
from fulcra.protocol.results.chances import (
    ENDS,
    ChanceRow,
    ChanceSettings,
    ChancesResult,
    CurveRow,
    ModelChances,
    NoiseEntry,
    Statistic,
    Tried,
)
from fulcra.protocol.runs import Run, manifest_of, model_entry, named, provenance_of
from fulcra.protocol.subject import Subject, in_tokens_of
from fulcra.store import read_json, write_json

Floats = NDArray[np.float64]

ENTRY = "entry.json"
#: Branches that ended under which noise is learned from at most, of each model.
UNDER = 300
#: The 95th percentile of the divergence at which a published guard stops dosing [nats].
TAIL_LEVEL = 1.0
#: Mean log-odds [nats] of a branch without a rung that can be looked at: below any that has one, as
#: e^-88 is the smallest normal number of float32.
NO_ODDS = -100.0
#: Where half of the replies lose coherence, a first guess: the level of each ladder, and the share
#: of odd tokens in flipped replies that calls best on the development censuses (LOG.md).
COST_AT: dict[Statistic, float] = {
    "divergence": LEVEL,
    "tail": TAIL_LEVEL,
    "replies": 0.06,
    "both": 1.0,
}


@dataclass(frozen=True, slots=True)
class Forecasts:
    """The curves of the branches of one model, and what its chances are made of besides."""

    entry: ModelChances
    rows: list[CurveRow]
    look: Look

    def curve(self, name: str) -> Floats:
        """One curve of every branch, [branch, gain, prompt]."""
        values = np.array([getattr(row, name) for row in self.rows], float)
        return values.reshape(len(self.rows), len(self.entry.gains), -1)

    def curves(self, statistic: Statistic) -> Curves:
        """Both curves of every branch, their cost by one statistic."""
        if statistic != "both":
            return Curves(self.curve("odds"), self.curve(statistic))
        replies, divergence = self.curve("replies"), self.curve("divergence")
        cost = combined_cost(replies, self.entry.undosed_share, divergence)
        return Curves(self.curve("odds"), cost)

    def observed(self, statistic: Statistic) -> Observed:
        """The branches whose end was measured, with their curves."""
        places = [i for i, row in enumerate(self.rows) if row.end is not None]
        odds, cost = (curve[places] for curve in self.curves(statistic))
        ends = [ENDS.index(self.rows[i].end or "under") for i in places]
        weight = np.array([self.rows[i].weight for i in places])
        return Observed(Curves(odds, cost), np.array(ends, np.int64), weight, self.look)

    @property
    def has_open(self) -> bool:
        """Whether a branch of it was observed open: only then is noise learned on it."""
        return any(row.end == "open" for row in self.rows)


def branch_chances(
    members: Iterable[Member],
    settings: ChanceSettings,
    out: Path,
    progress: Progress | None = None,
) -> ChancesResult:
    """The chances of the branches of every member, scored where a census says how they ended.

    Every model is done before the next is taken from `members`. Its curves are kept under `out`,
    and a forecast that was interrupted goes on. Cost: some three times the two ladders of as many
    branches; no rollout but the generic text.
    """
    clock, seed = Clock(progress or Silent()), settings.seed
    forecasts = [
        _forecasts(member, settings, out / f"{place}-{member.model.name}", clock)
        for place, member in enumerate(members)
    ]
    with clock.step("learn and score", 0):
        models = scored(_with_chances(forecasts), seed)
        pooled, tried = _pooled(forecasts), _tried(forecasts, seed)
    result = ChancesResult(
        statistic=STATISTIC,
        models=models,
        pooled=pooled,
        tried=tried,
        provenance=Provenance.now(seed=seed),
        timing=clock.timing(),
    )
    return ChancesResult.of(result.plain())


def _forecasts(member: Member, settings: ChanceSettings, path: Path, clock: Clock) -> Forecasts:
    """The curves of one member's branches; whole ones are read back, under the code they are of."""
    model, behavior = member.model, in_tokens_of(member.model, member.behavior)
    member = member._replace(behavior=behavior)
    census = None if member.census is None else read_census(member.census, model, behavior)
    if (path / ENTRY).is_file():
        return _read_back(path, member, census, settings)
    truth = {} if census is None else {"census": census.sha256}
    run = Run.open(manifest_of("chances", model, behavior, settings.plain(), **truth), path, clock)
    subject = Subject.of(model, behavior, settings.seed)
    pool = _pool(subject, census, settings)
    forecasts = _measured(run, subject, pool, settings)
    write_curves(path / CURVES, forecasts.rows)
    write_json(path / ENTRY, forecasts.entry.model_copy(update=truth).plain())
    if run.folder is not None:
        run.folder.drop_parts()
    # with the digits that are stored, so that the same is returned again
    return _read_back(path, member, census, settings)


def _pool(subject: Subject, census: Census | None, settings: ChanceSettings) -> Pool:
    """The branches whose chance is forecast: those of the census where there is one."""
    if census is None:
        return random_pool(subject, settings)
    return census_pool(census, len(subject.behavior.confirmation), settings)


def _read_back(
    path: Path, member: Member, census: Census | None, settings: ChanceSettings
) -> Forecasts:
    """Curves that were measured before; RunFolderError where they are of something else."""
    model, behavior = member.model, member.behavior
    entry = ModelChances.model_validate(read_json(path / ENTRY))
    hashes = (model.sha256, behavior_sha256(behavior))
    if (entry.model.sha256, entry.behavior.sha256) != hashes:
        raise RunFolderError(
            f"--out {path}: holds the curves of {entry.model.name} under {entry.behavior.name}, not"
            f" of {model.name} under {behavior.name} as they are now; choose a new folder"
        )
    rows = read_curves(path / CURVES)
    censused = any(row.end is not None for row in rows)
    if entry.settings != settings or censused != (census is not None):
        raise RunFolderError(
            f"--out {path}: holds curves {'with' if censused else 'without'} a census,"
            f" {_sizes(entry)}; ask for the same, or choose a new folder"
        )
    forecasts = Forecasts(entry, rows, Look(entry.prompts, entry.first))
    if census is not None and not _is_of(forecasts, census, len(behavior.confirmation)):
        raise RunFolderError(
            f"--out {path}: holds curves with another census than --census {member.census}; ask"
            " for the same, or choose a new folder"
        )
    return forecasts


def _is_of(forecasts: Forecasts, census: Census, prompts: int) -> bool:
    """Whether curves are of a census: by its hash, or its draw where no hash was stored."""
    entry = forecasts.entry
    if entry.census is not None:
        return entry.census == census.sha256
    pool = census_pool(census, prompts, entry.settings)
    return (pool.drawn, pool.look) == (drawn_in(forecasts.rows), forecasts.look)


def _sizes(entry: ModelChances) -> str:
    """The settings of stored curves, as options."""
    return ", ".join(f"--{name} {value}" for name, value in entry.settings)


def pool_chances(run: Run, subject: Subject, pool: Pool, settings: ChanceSettings) -> ModelChances:
    """The chances of a pool of branches by the frozen noise; the run keeps their curves.

    Cost: some three times the two ladders of as many branches.
    """
    forecasts = _measured(run, subject, pool, settings)
    rows = _rows(forecasts, FROZEN, STATISTIC)
    # with the digits that are stored
    return ModelChances.model_validate(forecasts.entry.model_copy(update={"rows": rows}).plain())


def _measured(run: Run, subject: Subject, pool: Pool, settings: ChanceSettings) -> Forecasts:
    """The curves of one subject's branches, and what they cost."""
    texts = ChanceTexts.of(subject, settings.texts)
    rows = curve_rows(run, subject, pool, texts)
    entry = ModelChances(
        model=model_entry(subject.model),
        behavior=named(subject.behavior),
        settings=settings,
        noise=_entry(FROZEN, LEARNED_ON),
        prompts=pool.look.prompts,
        first=pool.look.first,
        gains=tuple(pool.gains),
        horizon=subject.behavior.horizon,
        undosed_share=undosed_share(subject, texts),
        seconds=timed(subject, pool, texts),
        rows=(),
        provenance=provenance_of(
            subject.model, reference=subject.ground.reference.name, seed=settings.seed
        ),
    )
    return Forecasts(entry, rows, pool.look)


def _with_chances(forecasts: Sequence[Forecasts]) -> list[ModelChances]:
    """Every model with the chances of its branches, by noise learned on the others."""
    models = []
    for forecast in forecasts:
        others = _others(forecast, forecasts)
        noise = _learned(others, STATISTIC) if others else None
        entry = forecast.entry.noise if noise is None else _entry(noise, _names(others))
        rows = _rows(forecast, noise or FROZEN, STATISTIC)
        models.append(forecast.entry.model_copy(update={"noise": entry, "rows": rows}))
    return models


def _others(forecast: Forecasts, forecasts: Sequence[Forecasts]) -> list[Forecasts]:
    """The other models on which something opened."""
    return [other for other in forecasts if other is not forecast and other.has_open]


def _names(forecasts: Sequence[Forecasts]) -> tuple[str, ...]:
    return tuple(forecast.entry.model.name for forecast in forecasts)


def _learned(forecasts: Sequence[Forecasts], statistic: Statistic) -> Noise:
    samples = [thinned(each.observed(statistic), UNDER, 0) for each in forecasts]
    return learned(samples, COST_AT[statistic])


def _entry(noise: Noise, models: Sequence[str]) -> NoiseEntry:
    return NoiseEntry(**noise._asdict(), learned_on=tuple(models))


def _rows(forecast: Forecasts, noise: Noise, statistic: Statistic) -> tuple[ChanceRow, ...]:
    ends = chances(forecast.curves(statistic), noise, forecast.look)
    rivals = _rivals(forecast)
    return tuple(
        ChanceRow(
            branch=row.branch,
            weight=row.weight,
            end=row.end,
            under=float(ends.under[i]),
            open=float(ends.open[i]),
            over=float(ends.over[i]),
            rivals=rivals[i],
        )
        for i, row in enumerate(forecast.rows)
    )


def _rivals(forecast: Forecasts) -> list[dict[str, float]]:
    """What else each branch could be ranked by, from the same curves (`ChanceRow`)."""
    odds, undosed = forecast.curve("odds").mean(-1), forecast.entry.undosed_share
    triggers = _crossed(forecast, odds, 0.0)
    costs = {
        "margin": _crossed(forecast, forecast.curve("divergence")[..., 0], LEVEL),
        "tail": _crossed(forecast, forecast.curve("tail")[..., 0], TAIL_LEVEL),
        "replies": _crossed(forecast, forecast.curve("replies")[..., 0] - undosed, EXCESS),
    }
    best = np.fmax(odds, NO_ODDS).max(-1)
    return [
        {name: margin_score(ceilings[i], trigger) for name, ceilings in costs.items()}
        | {"dosed_logit": -math.log2(trigger or BEYOND), "best_odds": float(best[i])}
        for i, trigger in enumerate(triggers)
    ]


def _crossed(forecast: Forecasts, values: Floats, level: float) -> list[float | None]:
    return [crossing(forecast.entry.gains, row, level) for row in values.tolist()]


def _pooled(forecasts: Sequence[Forecasts]) -> NoiseEntry | None:
    """The noise learned on all models at once; None of fewer than two."""
    opened = [forecast for forecast in forecasts if forecast.has_open]
    if len(opened) < 2:
        return None
    return _entry(_learned(opened, STATISTIC), _names(opened))


def _tried(forecasts: Sequence[Forecasts], seed: int) -> tuple[Tried, ...]:
    """Every statistic of coherence on every model, the noise learned on the others."""
    tried = []
    for forecast in forecasts:
        others = _others(forecast, forecasts)
        if others and forecast.has_open:
            tried += [_trial(forecast, others, name, seed) for name in get_args(Statistic)]
    return tuple(tried)


def _trial(
    forecast: Forecasts, others: Sequence[Forecasts], statistic: Statistic, seed: int
) -> Tried:
    rows = _rows(forecast, _learned(others, statistic), statistic)
    cases = Cases.of(forecast.entry.model_copy(update={"rows": rows}))
    score = chance_score(cases, cases.chances[1], seed)
    return Tried(
        model=forecast.entry.model.name,
        statistic=statistic,
        log_loss=score.log_loss,
        brier_skill=score.brier_skill,
        average_precision=score.average_precision,
    )
