"""The figures of a registered study from its rows alone, so that they can be made again."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fulcra.backtest.ceiling_scores import kl_at_ceiling, method_scores
from fulcra.backtest.chance_scores import Cases, chance_score
from fulcra.backtest.drawn_rows import Drawn, bounded, of_site, p_above
from fulcra.backtest.noise import noise_floor
from fulcra.backtest.verdict_scores import TRIGGER_ALONE, failure_modes, verdict_scores
from fulcra.formulas.classification import auroc
from fulcra.formulas.edge_error import alignment_errors
from fulcra.formulas.ranking import average_precision, average_precisions
from fulcra.formulas.resampling import resampled_means, spread
from fulcra.protocol.results.base import finite
from fulcra.protocol.results.chances import ChanceScore, ModelChances
from fulcra.protocol.results.design import Design
from fulcra.protocol.results.split import Lineage
from fulcra.protocol.results.study import (
    CeilingFigures,
    Group,
    Ranked,
    StudyCases,
    VerdictFigures,
)
from fulcra.protocol.results.validation import CeilingRow, ProtocolRow, VerdictRow

Floats = NDArray[np.float64]

HELD_OUT, UNFINISHED, RIVAL = "held_out", "without unfinished", "kl_ladder"
#: The levels whose ranks are told with their intervals, beside the trigger alone.
RANKED = ("L1", "L2", "L3")


def grouped_figures(
    design: Design,
    rows: StudyCases,
    protocol: Sequence[ProtocolRow],
    unfinished: Sequence[str],
) -> dict[str, Group]:
    """The figures of all lineages that nobody had looked at, of parts of them, and of each.

    The parts leave out one recipe each, or the `unfinished` models, whose training missed its rule.
    Cases whose protocol was not reproduced are in no figure of verdicts.
    """
    sound, parts = sound_cases(protocol), grouped_rows(design, rows, unfinished)
    return {name: _group(part, sound, design) for name, part in parts.items()}


def sound_cases(protocol: Sequence[ProtocolRow]) -> set[str]:
    """The cases whose protocol was reproduced: those that figures of verdicts are made of."""
    return {row.name for row in protocol if row.reproduced}


def grouped_rows(
    design: Design, rows: StudyCases, unfinished: Sequence[str]
) -> dict[str, StudyCases]:
    """The rows of every group that figures are made of, by its name."""
    parts = {name: _of(rows, lineages) for name, lineages in group_members(design).items()}
    if unfinished:
        parts[UNFINISHED] = _finished(parts[HELD_OUT], unfinished)
    return parts


def group_members(design: Design) -> dict[str, list[Lineage]]:
    """All lineages that nobody had looked at, the same without each recipe, and each by itself."""
    unseen = [lineage for lineage in design.held_out if lineage.name not in design.apart]
    recipes = dict.fromkeys(lineage.recipe for lineage in unseen)
    members = {HELD_OUT: unseen}
    members |= {f"without {r}": [each for each in unseen if each.recipe != r] for r in recipes}
    members |= {lineage.name: [lineage] for lineage in design.held_out}
    return {name: lineages for name, lineages in members.items() if lineages}


def _of(rows: StudyCases, lineages: Sequence[Lineage]) -> StudyCases:
    """The rows of some lineages."""
    names = {lineage.name for lineage in lineages}
    models = {model for lineage in lineages for model in lineage.models}
    return StudyCases(
        ceilings=tuple(row for row in rows.ceilings if row.lineage in names),
        verdicts=tuple(row for row in rows.verdicts if row.lineage in names),
        chances=tuple(each for each in rows.chances if each.model.name in models),
    )


def _finished(rows: StudyCases, unfinished: Sequence[str]) -> StudyCases:
    """The rows of models that met the rule of their training."""
    return StudyCases(
        ceilings=tuple(row for row in rows.ceilings if row.model not in unfinished),
        verdicts=tuple(row for row in rows.verdicts if row.model not in unfinished),
        chances=tuple(each for each in rows.chances if each.model.name not in unfinished),
    )


def _group(rows: StudyCases, sound: set[str], design: Design) -> Group:
    seed = design.size.seed
    verdicts = [row for row in rows.verdicts if row.name in sound]
    lineages = [row.lineage for row in rows.ceilings] + [row.lineage for row in rows.verdicts]
    return Group(
        lineages=tuple(dict.fromkeys(lineages)),
        ceilings=ceiling_figures(rows.ceilings, design.ceiling, seed) if rows.ceilings else None,
        verdicts=verdict_figures(verdicts, rows.chances, seed) if verdicts else None,
    )


def ceiling_figures(rows: Sequence[CeilingRow], tested: str, seed: int) -> CeilingFigures:
    """The errors of every predictor, the tested one held against `kl_ladder` pair by pair."""
    gain = _paired(rows, tested)
    places: list[int] = np.flatnonzero(np.isfinite(gain)).tolist()
    outer, inner = [rows[i].lineage for i in places], [of_site(rows[i]) for i in places]
    means = resampled_means(gain[places], outer, inner, seed) if places else None
    return CeilingFigures(
        scores=method_scores(rows, seed, of_site),
        better=float(gain[places].mean()) if places else None,
        better_p=None if means is None else spread(means).p_value,
        noise=noise_floor(rows),
        kl_at_ceiling=kl_at_ceiling(rows),
    )


def _paired(rows: Sequence[CeilingRow], tested: str) -> Floats:
    """How much smaller the tested error is than the rival's, [branch]; nan without either."""
    measured = _gains(row.measured for row in rows)
    own, other = (
        alignment_errors(_gains(row.predicted[name] for row in rows), measured)
        for name in (tested, RIVAL)
    )
    return other - own


def _gains(values: Iterable[float | None]) -> Floats:
    return np.array([math.nan if gain is None else gain for gain in values])


def verdict_figures(
    rows: Sequence[VerdictRow], models: Sequence[ModelChances], seed: int
) -> VerdictFigures:
    """The calls of every level and the chances on drawn branches, and why the closed are closed."""
    drawn, cases = Drawn.of(rows, seed), of_verdicts(rows, models)
    areas = {level: drawn.areas(level) for level in (*RANKED, TRIGGER_ALONE)}
    return VerdictFigures(
        n=len(rows),
        open=int(drawn.opened.sum()),
        prevalence=float(np.average(drawn.opened, weights=drawn.weights)),
        levels=verdict_scores(rows, seed, of_site),
        ranks={level: bounded(*area) for level, area in areas.items()},
        over_trigger_p=p_above(areas["L3"][1] - areas[TRIGGER_ALONE][1]),
        within=drawn.within("L3"),
        chance=_chance(cases, drawn, seed),
        ratio=bounded(*_ratios(cases, drawn)),
        case_brier_p=_brier_p(cases, drawn, _case_prevalences(cases, drawn), seed),
        rivals={name: ranked(cases.rival(name), drawn) for name in cases.rows[0].rivals},
        modes=failure_modes(rows),
    )


def of_verdicts(rows: Sequence[VerdictRow], models: Sequence[ModelChances]) -> Cases:
    """The chances of the branches of some verdicts, in their order."""
    parts = [Cases.of(model) for model in models]
    places = {
        (model.model.name, model.behavior.name, chance.branch): (part, i)
        for model, part in zip(models, parts, strict=True)
        for i, chance in enumerate(part.rows)
    }
    mine = [places[row.model, row.behavior, row.branch] for row in rows]
    return Cases(
        [part.rows[i] for part, i in mine],
        np.array([part.end[i] for part, i in mine]),
        np.array([part.weight[i] for part, i in mine]),
        np.array([part.neuron[i] for part, i in mine]),
        np.array([part.quarter[i] for part, i in mine]),
    )


def _chance(cases: Cases, drawn: Drawn, seed: int) -> ChanceScore:
    """The scores of the chances, their intervals and p over lineages, then neurons."""
    score = chance_score(cases, cases.chances[1], seed)
    rank = ranked(cases.chances[1], drawn)
    plain = np.full(len(cases.open), cases.prevalence)
    update = {
        "brier_p": _brier_p(cases, drawn, plain, seed),
        "low": rank.low,
        "high": rank.high,
    }
    return score.model_copy(update=update)


def _brier_p(cases: Cases, drawn: Drawn, plain: Floats, seed: int) -> float:
    """The p that the chances are no closer to what was observed than plain rates, [branch]."""
    better = (plain - cases.open) ** 2 - (cases.chances[1] - cases.open) ** 2
    means = resampled_means(better, drawn.outer, drawn.inner, seed, cases.weight)
    return spread(means).p_value


def _case_prevalences(cases: Cases, drawn: Drawn) -> Floats:
    """The weighed share of open branches of each model and behavior, [branch]."""
    names, plain = np.array([row.name for row in drawn.rows]), np.zeros(len(drawn.rows))
    for name in set(names.tolist()):
        mine = names == name
        plain[mine] = np.average(cases.open[mine], weights=cases.weight[mine])
    return plain


def _ratios(cases: Cases, drawn: Drawn) -> tuple[float, Floats]:
    """Forecast over observed openings of the pools, and in each resample."""
    forecast, observed = cases.weight * cases.chances[1], cases.weight * cases.open
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(np.divide(forecast.sum(), observed.sum()))
        return value, (drawn.draws @ forecast) / (drawn.draws @ observed)


def ranked(scores: Floats, drawn: Drawn) -> Ranked:
    """How well scores rank what opens among drawn branches, weighed to their pools."""
    value = average_precision(scores, drawn.opened, drawn.weights)
    again = average_precisions(scores, drawn.opened, drawn.draws * drawn.weights)
    interval = bounded(value, again)
    return Ranked(
        average_precision=interval.value,
        low=interval.low,
        high=interval.high,
        auroc=finite(auroc(scores, drawn.opened, drawn.weights)),
    )
