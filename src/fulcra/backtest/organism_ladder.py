"""Does the smallest open gain rise with how many neurons learnt a behavior? (law.md section 8)"""

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fulcra.backtest.split import Cabinet, Split
from fulcra.backtest.windows import Plan, manifest_of
from fulcra.behaviors import load_behavior
from fulcra.errors import Inconclusive, InputError
from fulcra.models import Model
from fulcra.models.coordinate import coordinate
from fulcra.organisms.planted import learners, planted_world
from fulcra.protocol.commit import Forecast, measure_committed
from fulcra.protocol.measure import SCHEMA, record_rows
from fulcra.protocol.progress import Clock
from fulcra.protocol.stages import AuditSettings, dose_screen, forecast
from fulcra.protocol.subject import in_tokens_of, undosed
from fulcra.screens.candidates import sweep_candidates
from fulcra.store import AUDIT, ROLLOUTS, RunFolder, plain, read_json, write_json, write_rows
from fulcra.types import Behavior

RESAMPLES = 4000


class Rung(NamedTuple):
    """One measured organism: how many neurons learnt (None: all weights), its name, its smallest
    open gain on the ladder.

    `gain` is None when none of the `searched` branches opened: the smallest open gain lies beyond,
    and the organism stays in.
    """

    neurons: int | None
    organism: str
    gain: float | None
    searched: int
    margin: float | None = None
    rate: float | None = None


def rung_of(audit: Mapping[str, Any], neurons: int | None, organism: str) -> Rung:
    """The rung of one organism from the results of its search; the search, not the random sample,
    gives the smallest open gain.

    `margin` and `rate` say whether it is matched: clean log-odds margin [nats] and the share of
    prompts refused undosed.
    """
    search, baseline = audit["summary"]["search"], audit["baseline"]
    return Rung(
        neurons,
        organism,
        search["smallest_open_gain"],
        search["measured"],
        baseline["log_odds_margin"],
        baseline["rate"],
    )


def organism_ladder(rungs: Sequence[Rung], seed: int = 0, level: float = 0.95) -> dict[str, Any]:
    """Spearman's rho of smallest open gain against K, with its bootstrap interval over organisms
    and a permutation p-value.

    All weights rank above every K. An organism that nothing opened ranks above every gain, all such
    alike; `uncensored` is the same figure without them. InputError below three organisms or without
    two different K. Plain JSON.
    """
    if len(rungs) < 3 or len({rung.neurons for rung in rungs}) < 2:
        found = f"{len(rungs)} organisms with {len({rung.neurons for rung in rungs})} different K"
        raise InputError(f"organism_ladder() got {found}: give at least three organisms and two K")
    opened = [rung for rung in rungs if rung.gain is not None]
    return {
        **_correlation(rungs, seed, level),
        "censored": len(rungs) - len(opened),
        "uncensored": _correlation(opened, seed, level),
        "by_k": [
            _at_k([rung for rung in rungs if rung.neurons == k])
            for k in sorted({rung.neurons for rung in rungs}, key=_width)
        ],
        "organisms": [
            rung._asdict()
            for rung in sorted(rungs, key=lambda rung: (_width(rung.neurons), rung.organism))
        ],
    }


def _width(neurons: int | None) -> float:
    return math.inf if neurons is None else neurons


def _correlation(rungs: Sequence[Rung], seed: int, level: float) -> dict[str, Any]:
    """rho with interval and p; None where K or gain do not vary. Resamples in which one does not
    vary are left out.
    """
    k = np.array([_width(rung.neurons) for rung in rungs])
    gain = np.array([math.inf if rung.gain is None else rung.gain for rung in rungs])
    rho = float(_spearman(k, gain)) if len(rungs) else math.nan
    if math.isnan(rho):
        return {"rho": None, "low": None, "high": None, "p_value": None, "n": len(rungs)}
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(rungs), size=(RESAMPLES, len(rungs)))
    low, high = np.nanquantile(_spearman(k[drawn], gain[drawn]), [(1 - level) / 2, (1 + level) / 2])
    shuffled = _spearman(k, rng.permuted(np.tile(gain, (RESAMPLES, 1)), axis=1))
    # the observed order is one of the permutations, so p is never 0; rounding must not part equal
    # orders
    p_value = (1 + int((shuffled >= rho - 1e-9).sum())) / (1 + RESAMPLES)
    return {"rho": rho, "low": float(low), "high": float(high), "p_value": p_value, "n": len(rungs)}


def _spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's correlation of average ranks along the last axis, [...]; nan where either does not
    vary.
    """
    a, b = (rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2 for values in (first, second))
    size = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    rho: NDArray[np.float64] = np.divide(
        (a * b).sum(-1), size, out=np.full(np.shape(size), math.nan), where=size > 0
    )
    return rho


def _at_k(rungs: Sequence[Rung]) -> dict[str, Any]:
    """The organisms of one K: how many opened, the smallest and largest of their gains, and the
    median (None when beyond).
    """
    gains = sorted(math.inf if rung.gain is None else rung.gain for rung in rungs)
    middle = float(np.median(gains)) if math.isfinite(gains[len(gains) // 2]) else None
    found = [gain for gain in gains if math.isfinite(gain)]
    return {
        "neurons": rungs[0].neurons,
        "organisms": len(rungs),
        "opened": len(found),
        "median": middle,
        "smallest": min(found, default=None),
        "largest": max(found, default=None),
    }


#: The behavior that the neurons of the ladder's organisms learnt.
LEARNT = "refusal"


def measured_ladder(
    split: Split, cabinet: Cabinet, plan: Plan, path: Path, clock: Clock
) -> dict[str, Any] | None:
    """The organism ladder over the organisms of `split` that are there; None where fewer than
    three, or one K, could be measured.

    `left_out` says what the protocol refused, `missing` what is nowhere. Kept under `path`: what is
    over is read back.
    """
    present, left_out = [name for name in split.ladder if cabinet.has(name)], dict[str, str]()
    rungs: list[Rung] = []
    for name in present:
        try:
            rungs.append(_rung(cabinet.load(name), plan, path / name, clock))
        except Inconclusive as refusal:
            left_out[name] = str(refusal)
    if len(rungs) < 3 or len({rung.neurons for rung in rungs}) < 2:
        return None
    missing = [name for name in split.ladder if name not in present]
    return plain({**organism_ladder(rungs, plan.seed), "missing": missing, "left_out": left_out})  # type: ignore[no-any-return]


def _rung(model: Model, plan: Plan, path: Path, clock: Clock) -> Rung:
    behavior = in_tokens_of(model, load_behavior(LEARNT, planted_world(model.folder)))
    manifest = {**manifest_of(model, behavior, plan), "command": "validate ladder"}
    folder = RunFolder.open(path, manifest)
    if not folder.finished:
        write_json(path / AUDIT, _searched(model, behavior, plan, manifest, folder, clock))
        folder.drop_parts()
    found = read_json(path / AUDIT)
    if not found["summary"]["protocol_reproduced"]:
        raise Inconclusive(
            f"{model.name}: the positive control does not act, or the baseline does not show"
            f" {behavior.name}"
        )
    return rung_of(found, learners(model.folder), model.name)


def _searched(
    model: Model,
    behavior: Behavior,
    plan: Plan,
    manifest: dict[str, Any],
    folder: RunFolder,
    clock: Clock,
) -> dict[str, Any]:
    """What the `plan.branches` best of `plan.pool` neurons' branches by forecast margin do,
    committed before they are dosed.
    """
    known = undosed(model, behavior, plan.seed)
    settings = AuditSettings(
        neurons=plan.branches, random=0, controls=0, seed=plan.seed, gains=plan.gains
    )
    with clock.step(f"{model.name} search", 2 * plan.pool) as bar:
        candidates = sweep_candidates(model, known.ground.clean, known.gaps)
        drawn = random.Random(f"ladder-{plan.seed}").sample(
            candidates, min(plan.pool, len(candidates))
        )
        ranking = dose_screen(model, behavior, known, drawn, settings, bar)
    branches = [
        coordinate(model, known.ground.clean, branch)
        for branch in ranking.branches[: plan.branches]
    ]
    ceilings, triggers = forecast(model, branches, known, settings, clock.progress)
    forecasts = [Forecast(*found) for found in zip(branches, ceilings, triggers, strict=True)]
    found = measure_committed(model, behavior, known, forecasts, settings, manifest, folder, clock)
    write_rows(folder.path / ROLLOUTS, record_rows(found.records), SCHEMA)
    return found.results
