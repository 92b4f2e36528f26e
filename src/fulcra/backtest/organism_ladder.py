"""Does the smallest open gain rise with the number K of neurons that learnt? (law.md section 8)"""

import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fulcra.backtest.split import Cabinet
from fulcra.backtest.windows import measured
from fulcra.behaviors import load_behavior
from fulcra.errors import Inconclusive, InputError
from fulcra.formulas.rank_correlation import spearman
from fulcra.models import Model
from fulcra.organisms.planted import learners, planted_world
from fulcra.protocol.progress import Clock
from fulcra.protocol.results.audit import Figures
from fulcra.protocol.results.organism_ladder import (
    OrganismLadder,
    OrganismRung,
    RankCorrelation,
    RungsOfK,
)
from fulcra.protocol.results.split import Split
from fulcra.protocol.results.validation import StudySize
from fulcra.protocol.runs import Run, manifest_of
from fulcra.protocol.stages import dose_screen, forecast
from fulcra.protocol.subject import Subject, in_tokens_of
from fulcra.screens.candidates import sweep_candidates
from fulcra.store import AUDIT, RunFolder, read_json, write_json

#: The behavior that the neurons of the ladder's organisms learnt.
LEARNT = "refusal"


def rung_of(figures: Figures, neurons: int | None, organism: str) -> OrganismRung:
    """The rung of one organism from the figures of its search, which gives the smallest gain."""
    search, baseline = figures.summary.search, figures.baseline
    return OrganismRung(
        neurons=neurons,
        organism=organism,
        gain=search.smallest_open_gain,
        searched=search.measured,
        margin=baseline.log_odds_margin,
        rate=baseline.rate,
    )


def organism_ladder(
    rungs: Sequence[OrganismRung], seed: int = 0, level: float = 0.95
) -> OrganismLadder:
    """Spearman's rho of smallest open gain against K, with its interval and a permutation p.

    The bootstrap is over organisms. All weights rank above every K. An organism that nothing opened
    ranks above every gain, all such alike; `uncensored` is the same figure without them. InputError
    below three organisms or without two different K.
    """
    widths = sorted({rung.neurons for rung in rungs}, key=_width)
    if len(rungs) < 3 or len(widths) < 2:
        raise InputError(
            f"organism_ladder() got {len(rungs)} organisms with {len(widths)} different K: give at"
            " least three organisms and two K"
        )
    opened = [rung for rung in rungs if rung.gain is not None]
    return OrganismLadder(
        **dict(_correlation(rungs, seed, level)),
        censored=len(rungs) - len(opened),
        uncensored=_correlation(opened, seed, level),
        by_k=tuple(_at_k([rung for rung in rungs if rung.neurons == k]) for k in widths),
        organisms=tuple(sorted(rungs, key=lambda rung: (_width(rung.neurons), rung.organism))),
    )


def _width(neurons: int | None) -> float:
    return math.inf if neurons is None else neurons


def _gain(rung: OrganismRung) -> float:
    return math.inf if rung.gain is None else rung.gain


def _correlation(rungs: Sequence[OrganismRung], seed: int, level: float) -> RankCorrelation:
    """rho with interval and p; None where K or gain do not vary."""
    widths = [_width(rung.neurons) for rung in rungs]
    rise = spearman(widths, [_gain(rung) for rung in rungs], seed, level)
    return RankCorrelation(**rise._asdict())


def _at_k(rungs: Sequence[OrganismRung]) -> RungsOfK:
    """The organisms of one K and their gains; the median is None where it lies beyond."""
    gains = sorted(map(_gain, rungs))
    opened = [gain for gain in gains if math.isfinite(gain)]
    middle = float(np.median(gains)) if math.isfinite(gains[len(gains) // 2]) else None
    return RungsOfK(
        neurons=rungs[0].neurons,
        organisms=len(rungs),
        opened=len(opened),
        median=middle,
        smallest=min(opened, default=None),
        largest=max(opened, default=None),
    )


def measured_ladder(
    split: Split, cabinet: Cabinet, size: StudySize, path: Path, clock: Clock
) -> OrganismLadder | None:
    """The organism ladder over the organisms of `split` that are there.

    None where fewer than three, or one K, could be measured. `left_out` says what the protocol
    refused, `missing` what is nowhere. Kept under `path`: what is over is read back.
    """
    rungs: list[OrganismRung] = []
    missing, left_out = [], {}
    for name in split.ladder:
        if not cabinet.has(name):
            missing.append(name)
            continue
        try:
            rungs.append(_rung(cabinet.load(name), size, path / name, clock))
        except Inconclusive as refusal:
            left_out[name] = str(refusal)
    if len(rungs) < 3 or len({rung.neurons for rung in rungs}) < 2:
        return None
    ladder = dict(organism_ladder(rungs, size.seed)) | {"missing": missing, "left_out": left_out}
    return OrganismLadder.model_validate(ladder)


def _rung(model: Model, size: StudySize, path: Path, clock: Clock) -> OrganismRung:
    behavior = in_tokens_of(model, load_behavior(LEARNT, planted_world(model.folder)))
    settings = {
        "pool": size.searched,
        "branches": size.rungs,
        "seed": size.seed,
        "gains": size.gains,
    }
    manifest = manifest_of("validate ladder", model, behavior, settings)
    folder = RunFolder.open(path, manifest)
    if not folder.finished:
        run, subject = Run(manifest, folder, clock), Subject.of(model, behavior, size.seed)
        write_json(path / AUDIT, _searched(run, subject, size).plain())
        folder.drop_parts()
    figures = Figures.model_validate(read_json(path / AUDIT))
    if not figures.summary.protocol_reproduced:
        raise Inconclusive(
            f"{model.name}: the positive control does not act, or the baseline does not show"
            f" {behavior.name}"
        )
    return rung_of(figures, learners(model.folder), model.name)


def _searched(run: Run, subject: Subject, size: StudySize) -> Figures:
    """The figures of the best `rungs` branches of `searched` neurons, committed before any dose."""
    with run.clock.step(f"{subject.model.name} search", 2 * size.searched) as bar:
        candidates = sweep_candidates(subject.model, subject.ground.stream, subject.gaps)
        rng = random.Random(f"ladder-{size.seed}")
        searched = rng.sample(candidates, min(size.searched, len(candidates)))
        ranking = dose_screen(subject, searched, size.rungs, bar)
    branches = [subject.coordinate(branch) for branch in ranking.branches[: size.rungs]]
    edges = forecast(subject, branches, size.gains, run.clock.progress)
    return measured(run, subject, edges, size.gains).figures
