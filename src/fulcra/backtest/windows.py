"""Windows of branches drawn by predicted margin: committed, measured, called at every level."""

import random
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from fulcra.backtest.noise import site
from fulcra.backtest.split import LineageModel
from fulcra.behaviors import load_behavior
from fulcra.errors import Inconclusive
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import log2_margin
from fulcra.ladders import flip_ladder, kl_ladder, trigger_ladder
from fulcra.ladders.flip_ladder import flipped_text
from fulcra.protocol.commit import (
    Committed,
    Plan,
    measure_baseline,
    measure_committed,
    require_baseline,
)
from fulcra.protocol.draw import both_poles, movers
from fulcra.protocol.measure import Measurement
from fulcra.protocol.predictors import surprise
from fulcra.protocol.progress import Clock
from fulcra.protocol.results.audit import Branch, Figures, Measured, Predicted
from fulcra.protocol.results.base import Value
from fulcra.protocol.results.validation import Case, ProtocolRow, StudySize, VerdictRow
from fulcra.protocol.runs import Run, manifest_of
from fulcra.protocol.shards import list_shards
from fulcra.protocol.stages import Forecast
from fulcra.protocol.subject import Subject, in_tokens_of
from fulcra.store import AUDIT, RunFolder, read_json, write_json

#: A censored trigger is taken for this gain and a censored ceiling for half of it: beyond every
#: ladder, and closed together.
BEYOND = 20.0
#: Of `kl_ladder`, what L1_scaled takes for the ceiling: half of the prompts must flip and stay
#: coherent at one and the same gain, so a window must be wider than 0. Frozen, chosen on the
#: censuses of the two development organisms (LOG.md).
SCALE = 0.6
#: Bounds of the strata of predicted margin [octaves]: clearly closed, closed, open, clearly open.
BOUNDS = (-1.0, 0.0, 0.7)


class PoolRow(Case):
    """One branch whose window was forecast, with its trigger [gain]; None beyond the ladder."""

    neuron: str
    branch: str
    trigger: float | None


class Windows(Value):
    """The measured branches of one case, the pool they were drawn from, and the protocol."""

    rows: tuple[VerdictRow, ...]
    pool: tuple[PoolRow, ...]
    protocol: ProtocolRow


class Drawn(NamedTuple):
    """One branch of the pool that is measured, and how many of the pool it stands for."""

    forecast: Forecast
    weight: float


def margin_score(ceiling: float | None, trigger: float | None) -> float:
    """The margin [octaves] that branches are ranked by, censored edges put beyond every ladder."""
    return log2_margin(ceiling or BEYOND / 2, trigger or BEYOND) or 0.0


def stratum(score: float) -> int:
    """The stratum of a predicted margin."""
    return sum(score >= bound for bound in BOUNDS)


def stratified(scores: Sequence[float], count: int, seed: int) -> list[tuple[int, float]]:
    """(index, weight) of `count` cases, as equally many a stratum as there are.

    A weight is the size of the stratum over its draws.
    """
    rng = random.Random(f"strata-{seed}")
    strata: list[list[int]] = [[] for _ in range(len(BOUNDS) + 1)]
    for i, score in enumerate(scores):
        strata[stratum(score)].append(i)
    groups = sorted((rng.sample(group, len(group)) for group in strata if group), key=len)
    drawn: list[tuple[int, float]] = []
    for place, group in enumerate(groups):
        share = min(len(group), (count - len(drawn)) // (len(groups) - place))
        drawn += [(i, len(group) / share) for i in group[:share]]
    return sorted(drawn)


def forecasts(subject: Subject, size: StudySize) -> list[Forecast]:
    """Both predicted edges, of both poles of random neurons that reach the first gain."""
    if subject.openings is None:
        raise Inconclusive(
            f"behavior {subject.behavior.name}: no openings, so no trigger can be forecast; give"
            " target and control ones"
        )
    model, gains = subject.model, size.gains
    rng = random.Random(f"pool-{size.seed}-{subject.behavior.name}")
    slots = [(layer, slot) for layer in range(model.n_layers) for slot in range(model.width(layer))]
    neurons = (model.neuron(layer, slot) for layer, slot in rng.sample(slots, len(slots)))
    chosen = islice(movers(subject.ground, neurons, gains[0]), size.pool)
    poles = both_poles(subject.ground, chosen)
    triggers = trigger_ladder(model, poles, subject.openings, gains)
    ceilings = kl_ladder(model, poles, subject.ground.text)
    return list(map(Forecast, poles, ceilings, triggers))


def drawn_by_margin(pool: Sequence[Forecast], count: int, seed: int) -> list[Drawn]:
    """The branches of the pool that are measured, drawn evenly over predicted margins."""
    scores = [margin_score(p.ceiling.gain, _trigger(p)) for p in pool]
    return [Drawn(pool[i], weight) for i, weight in stratified(scores, count, seed)]


def _trigger(prediction: Forecast) -> float | None:
    return None if prediction.trigger is None else prediction.trigger.gain


def measured_windows(
    member: LineageModel, behavior_name: str, size: StudySize, path: Path, clock: Clock
) -> Windows:
    """The windows of one model under one behavior, of the branches that its pool's margins choose.

    Kept under `path`: a measurement that is over is read back, an interrupted one goes on.
    """
    behavior = load_behavior(behavior_name, member.lineage.world)
    behavior = in_tokens_of(member.model, behavior)
    settings = {key: getattr(size, key) for key in ("pool", "branches", "seed", "gains")}
    manifest = manifest_of("validate", member.model, behavior, settings)
    folder = RunFolder.open(path, manifest)
    if not folder.finished:
        run = Run(manifest, folder, clock)
        subject = Subject.of(member.model, behavior, size.seed, member.reference)
        write_json(folder.path / AUDIT, _windows(member, run, subject, size).plain())
        folder.drop_parts()
    return Windows.model_validate(read_json(folder.path / AUDIT))


def _windows(member: LineageModel, run: Run, subject: Subject, size: StudySize) -> Windows:
    """The pool and its measured branches; measured gains are rounded as files hold them."""
    case = Case(
        lineage=member.lineage.name,
        recipe=member.lineage.recipe,
        model=subject.model.name,
        behavior=subject.behavior.name,
    )
    with run.clock.step(f"{case.name} forecast", 2 * size.pool):
        pool = forecasts(subject, size)
    drawn = drawn_by_margin(pool, size.branches, size.seed)
    chosen = [branch.forecast for branch in drawn]
    committed = measured(run, subject, chosen, size.gains)
    figures = Figures.model_validate(committed.figures.plain())
    others = _other_ceilings(subject, [prediction.at for prediction in chosen])
    protocol = _protocol_row(case, committed, figures)
    rows = [
        verdict_row(
            protocol,
            subject.model.n_layers,
            each.weight,
            branch,
            ceilings | {"scaled": _scaled(_gain(branch.ceiling_predicted))},
        )
        for each, branch, ceilings in zip(drawn, figures.neurons, others, strict=True)
    ]
    forecast_rows = [_pool_row(case, prediction) for prediction in pool]
    return Windows(rows=tuple(rows), pool=tuple(forecast_rows), protocol=protocol)


def measured(
    run: Run, subject: Subject, predictions: Sequence[Forecast], gains: Sequence[float]
) -> Committed:
    """The branches committed and measured without pins and controls, their rollouts written."""
    measure = Measurement(subject, subject.horizons, run.folder, run.salt)
    baseline = measure_baseline(run, measure)
    require_baseline(subject.behavior, baseline)
    committed = measure_committed(run, measure, Plan(predictions, gains), baseline)
    if run.folder is not None:
        list_shards(run.folder.path, committed.shards)
    return committed


def _other_ceilings(
    subject: Subject, branches: Sequence[Coordinate]
) -> list[dict[str, float | None]]:
    """The ceilings of `surprise_ladder` on generic text and of `flip_ladder` on replies."""
    model, behavior, ground = subject.model, subject.behavior, subject.ground
    flips = flipped_text(model, behavior.selection, behavior.system, behavior.horizon)
    surprised = surprise(ground, branches)
    level = ground.standard.surprise_level
    flipped = flip_ladder(model, branches, flips, level, ground.reference)
    return [{"surprise": a.gain, "flip": b.gain} for a, b in zip(surprised, flipped, strict=True)]


def _scaled(gain: float | None) -> float | None:
    return None if gain is None else SCALE * gain


def verdict_row(
    protocol: ProtocolRow,
    layers: int,
    weight: float,
    branch: Branch,
    others: Mapping[str, float | None],
) -> VerdictRow:
    """The row of one branch, from what was predicted and measured of it.

    `others` are ceilings [gain] that L1 is also called with, by the end of its name there.
    """
    ceiling, trigger = _gain(branch.ceiling_predicted), _gain(branch.trigger_predicted)
    measured_ceiling, measured_trigger = _gain(branch.ceiling_measured), _gain(branch.triggers[-1])
    margins = {
        "L1": margin_score(ceiling, trigger),
        "L2": margin_score(ceiling, measured_trigger),
        "L3": margin_score(measured_ceiling, measured_trigger),
    }
    return VerdictRow(
        lineage=protocol.lineage,
        recipe=protocol.recipe,
        model=protocol.model,
        behavior=protocol.behavior,
        neuron=branch.neuron,
        branch=branch.name,
        layers=layers,
        layer=branch.branch.layer,
        weight=weight,
        observed_open=branch.observed_open is True,
        verdict=branch.verdict or "undetermined",
        smallest_open_gain=branch.smallest_open_gain,
        failure_mode=branch.failure_mode,
        log_odds_margin=protocol.log_odds_margin,
        trigger_predicted=trigger,
        trigger_measured=measured_trigger,
        ceiling_predicted=ceiling,
        ceiling_measured=measured_ceiling,
        margins=margins
        | {f"L1_{name}": margin_score(gain, trigger) for name, gain in others.items()},
    )


def _gain(edge: Predicted | Measured | None) -> float | None:
    return None if edge is None else edge.gain


def _pool_row(case: Case, prediction: Forecast) -> PoolRow:
    coordinate = prediction.at
    return PoolRow(
        **dict(case),
        neuron=site(coordinate),
        branch=str(coordinate.branch),
        trigger=_trigger(prediction),
    )


def _protocol_row(case: Case, committed: Committed, figures: Figures) -> ProtocolRow:
    margin = committed.content.plan.log_odds_margin
    assert margin is not None  # without openings nothing was forecast
    return ProtocolRow(
        **dict(case),
        reproduced=figures.summary.protocol_reproduced,
        baseline=figures.baseline.rate,
        leak=figures.baseline.leak,
        positive_control=figures.positive_control,
        commitment_sha256=committed.sha256,
        log_odds_margin=margin,
    )
