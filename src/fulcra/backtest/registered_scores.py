"""The figures of a registered study from its rows alone, so that they can be made again."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fulcra.backtest.ceiling_scores import kl_at_ceiling, method_scores
from fulcra.backtest.chance_scores import Cases, chance_score, finite
from fulcra.backtest.noise import noise_floor
from fulcra.backtest.verdict_scores import verdict_scores
from fulcra.formulas.classification import auroc
from fulcra.formulas.edge_error import alignment_errors
from fulcra.formulas.ranking import average_precision, ranking_interval
from fulcra.formulas.resampling import resampled_means, spread
from fulcra.protocol.results.chances import ModelChances
from fulcra.protocol.results.design import Design, Wanted
from fulcra.protocol.results.study import (
    CeilingFigures,
    Group,
    Ranked,
    StudyCases,
    VerdictFigures,
)
from fulcra.protocol.results.validation import CeilingRow, ProtocolRow, Target, VerdictRow

Floats = NDArray[np.float64]

HELD_OUT, RIVAL = "held_out", "kl_ladder"
#: Open branches from which on a lineage is asked for its precision at 32.
ENOUGH = 32


def grouped_figures(
    design: Design, rows: StudyCases, protocol: Sequence[ProtocolRow]
) -> dict[str, Group]:
    """The figures of all lineages that nobody had looked at, and of every lineage.

    Cases whose protocol was not reproduced are in no figure of verdicts.
    """
    names = [lineage.name for lineage in design.held_out]
    groups = {HELD_OUT: [name for name in names if name not in design.apart]}
    groups |= {name: [name] for name in names}
    sound = {row.name for row in protocol if row.reproduced}
    return {group: _group(design, rows, sound, members) for group, members in groups.items()}


def _group(design: Design, rows: StudyCases, sound: set[str], lineages: Sequence[str]) -> Group:
    seed = design.size.seed
    ceilings = [row for row in rows.ceilings if row.lineage in lineages]
    verdicts = [row for row in rows.verdicts if row.lineage in lineages and row.name in sound]
    cases = {row.name for row in verdicts}
    chances = [each for each in rows.chances if f"{each.model.name} {each.behavior.name}" in cases]
    return Group(
        lineages=tuple(lineages),
        ceilings=ceiling_figures(ceilings, design.ceiling, seed) if ceilings else None,
        verdicts=verdict_figures(verdicts, chances, seed) if verdicts else None,
    )


def ceiling_figures(rows: Sequence[CeilingRow], tested: str, seed: int) -> CeilingFigures:
    """The errors of every predictor, the tested one held against `kl_ladder` pair by pair."""
    return CeilingFigures(
        scores=method_scores(rows, seed),
        better_p=_better_p(rows, tested, seed),
        noise=noise_floor(rows),
        kl_at_ceiling=kl_at_ceiling(rows),
    )


def _better_p(rows: Sequence[CeilingRow], tested: str, seed: int) -> float | None:
    measured = _gains(row.measured for row in rows)
    own, other = (
        alignment_errors(_gains(row.predicted[name] for row in rows), measured)
        for name in (tested, RIVAL)
    )
    gain = other - own
    places: list[int] = np.flatnonzero(np.isfinite(gain)).tolist()
    if not places:
        return None
    outer = [rows[i].lineage for i in places]
    inner = [(rows[i].model, rows[i].neuron) for i in places]
    return spread(resampled_means(gain[places], outer, inner, seed)).p_value


def _gains(values: Iterable[float | None]) -> Floats:
    return np.array([math.nan if gain is None else gain for gain in values])


def verdict_figures(
    rows: Sequence[VerdictRow], models: Sequence[ModelChances], seed: int
) -> VerdictFigures:
    """The calls of every level and the chances on drawn branches, and why the closed are closed."""
    weights = np.array([row.weight for row in rows])
    opened = np.array([row.observed_open for row in rows])
    cases = joined(models)
    return VerdictFigures(
        n=len(rows),
        open=int(opened.sum()),
        prevalence=float(np.average(opened, weights=weights)),
        levels=verdict_scores(rows, seed),
        chance=chance_score(cases, cases.chances[1], seed),
        rivals={name: _ranked(cases, name, seed) for name in cases.rows[0].rivals},
        modes=_modes(rows),
    )


def joined(models: Sequence[ModelChances]) -> Cases:
    """The observed branches of several models as one set; neurons of two models are two."""
    parts = [Cases.of(model) for model in models]
    steps = np.cumsum([0, *(int(part.neuron.max()) + 1 for part in parts[:-1])])
    return Cases(
        [row for part in parts for row in part.rows],
        np.concatenate([part.end for part in parts]),
        np.concatenate([part.weight for part in parts]),
        np.concatenate([part.neuron + step for part, step in zip(parts, steps, strict=True)]),
        np.concatenate([part.quarter for part in parts]),
    )


def _ranked(cases: Cases, name: str, seed: int) -> Ranked:
    scores = cases.rival(name)
    ranked = ranking_interval(
        average_precision, scores, cases.open, cases.weight, cases.neuron, seed
    )
    return Ranked(
        average_precision=finite(ranked.value),
        low=finite(ranked.low),
        high=finite(ranked.high),
        auroc=finite(auroc(scores, cases.open, cases.weight)),
    )


def _modes(rows: Sequence[VerdictRow]) -> dict[str, float]:
    closed = [row for row in rows if row.verdict == "closed" and row.failure_mode is not None]
    total = sum(row.weight for row in closed)
    names = sorted({row.failure_mode or "" for row in closed})
    return {
        name: sum(row.weight for row in closed if row.failure_mode == name) / total
        for name in names
    }


def study_targets(design: Design, groups: Mapping[str, Group]) -> tuple[Target, ...]:
    """Every target of the design on the lineages nobody had looked at, met, missed or untested."""
    wanted, whole = design.wanted, groups[HELD_OUT]
    return (
        *_ceiling_targets(design, whole.ceilings),
        *_verdict_targets(wanted, whole.verdicts),
        _precision_target(wanted, groups),
    )


def _target(claim: str, value: float | None, met: bool | None) -> Target:
    number = "not measured" if value is None else f"{value:.3g}"
    return Target(claim=claim, found=number, met=None if value is None else met)


def _ceiling_targets(design: Design, figures: CeilingFigures | None) -> list[Target]:
    wanted, name = design.wanted, design.ceiling
    mae = None if figures is None else figures.scores[name].mae
    p = None if figures is None else figures.better_p
    return [
        _target(
            f"{name}: MAE in cos <= {wanted.ceiling_mae}",
            mae,
            mae is not None and mae <= wanted.ceiling_mae,
        ),
        _target(
            f"{name}: a smaller error than {RIVAL}'s on the same branches, clustered p <"
            f" {wanted.ceiling_p}",
            p,
            p is not None and p < wanted.ceiling_p,
        ),
    ]


def _verdict_targets(wanted: Wanted, figures: VerdictFigures | None) -> list[Target]:
    chance = None if figures is None else figures.chance
    third = None if figures is None else figures.levels["L3"].auroc
    precision = None if chance is None else chance.average_precision
    error = None if chance is None else chance.calibration_error
    brier_p = None if chance is None else chance.brier_p
    opened = None if figures is None else float(figures.open)
    return [
        _target(f"branches observed open >= {wanted.open}", opened, (opened or 0) >= wanted.open),
        _target(
            f"L3: AUROC for observed open >= {wanted.l3_auroc}",
            third,
            (third or 0) >= wanted.l3_auroc,
        ),
        _target(
            f"chances: average precision >= {wanted.precision}",
            precision,
            (precision or 0) >= wanted.precision,
        ),
        _target(
            f"chances: calibration error <= {wanted.calibration_error}",
            error,
            error is not None and error <= wanted.calibration_error,
        ),
        _target(
            f"chances: Brier below the prevalence's, p < {wanted.brier_p}",
            brier_p,
            brier_p is not None and brier_p < wanted.brier_p,
        ),
    ]


def _precision_target(wanted: Wanted, groups: Mapping[str, Group]) -> Target:
    """The lowest precision at 32 of the lineages in which enough branches opened."""
    precisions = [
        group.verdicts.chance.precision_32
        for name, group in groups.items()
        if name != HELD_OUT and group.verdicts is not None and group.verdicts.open >= ENOUGH
    ]
    lowest = min(precisions, default=None)
    return _target(
        f"chances: precision at 32 >= {wanted.precision_32} in every lineage with {ENOUGH} open",
        lowest,
        (lowest or 0) >= wanted.precision_32,
    )
