"""The rows of the study turned into its figures; no model, so that they can be made again."""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median, quantiles
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fulcra.backtest.outside_scope import OutsideRow
from fulcra.formulas.classification import auroc, brier, confusion, majority_calls, mcnemar
from fulcra.formulas.edge_error import alignment_errors, edge_error
from fulcra.formulas.resampling import resampled_means, spread
from fulcra.protocol.predictors import CEILINGS, Calibration, layer_median, recalibration
from fulcra.protocol.results.validation import (
    Auroc,
    Calls,
    CeilingRow,
    CeilingScore,
    MedianNats,
    VerdictRow,
    VerdictScore,
)

#: A branch whose ceiling was forecast and measured, of one neuron or of a joint write.
Edges = CeilingRow | OutsideRow
Gain = float | None
T = TypeVar("T")
#: Branches of the same model that a calibrated predictor may see the ceilings of.
BUDGETS = (0, 2, 8, 32)
TIERS = {predictor.name: predictor.tier for predictor in CEILINGS}
LEVELS = ("L1", "L2", "L3", "L1_surprise", "L1_flip", "L1_scaled")


class Calibrated(NamedTuple):
    """Branches that served no calibration, with their ceilings by one calibrated predictor."""

    method: str
    rows: list[CeilingRow]
    gains: list[Gain]


def grouped(rows: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    """The rows by their key, in the order of its first appearance."""
    groups: dict[str, list[T]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def _array(gains: Iterable[Gain]) -> NDArray[np.float64]:
    return np.array([math.nan if gain is None else gain for gain in gains])


def ceiling_score(
    rows: Sequence[Edges], predicted: Iterable[Gain], tier: int, seed: int
) -> CeilingScore:
    """One method's errors on `rows`; the MAE's 95 % interval is over lineages, then neurons."""
    first, second = _array(predicted), _array(row.measured for row in rows)
    layers = [(row.model, row.layer) for row in rows]
    bulk = [0 < row.layer < row.layers - 1 for row in rows]
    error = edge_error(first, second, [row.last for row in rows], layers, bulk)
    errors = alignment_errors(first, second)
    places: list[int] = np.flatnonzero(~np.isnan(errors)).tolist()
    low = high = math.nan
    if len(places):
        outer = [rows[i].lineage for i in places]
        inner = [(rows[i].model, rows[i].neuron) for i in places]
        low, high, _ = spread(resampled_means(errors[places], outer, inner, seed))
    return CeilingScore(tier=tier, **error._asdict(), low=low, high=high)


def method_scores(rows: Sequence[Edges], seed: int) -> dict[str, CeilingScore]:
    """Every method that needs no calibration, on `rows`."""
    return {
        name: ceiling_score(rows, [row.predicted[name] for row in rows], TIERS[name], seed)
        for name in rows[0].predicted
    }


def ceiling_scores(rows: Sequence[CeilingRow], seed: int) -> dict[str, CeilingScore]:
    """Every method on `rows`, the calibrated ones by budget in their name.

    These are scored on the branches that served no calibration.
    """
    scores = method_scores(rows, seed)
    for budget in BUDGETS:
        for method, others, gains in _calibrated(rows, budget, seed):
            tier = 3 if budget else 2
            scores[f"{method}_{budget}"] = ceiling_score(others, gains, tier, seed)
    return scores


def _calibrated(rows: Sequence[CeilingRow], budget: int, seed: int) -> list[Calibrated]:
    """Both calibrated predictors: each model's first branches of a fixed random order calibrate."""
    ladder = Calibrated("kl_ladder_recalibrated", [], [])
    layers = Calibrated("layer_median", [], [])
    for model, branches in grouped(rows, lambda row: row.model).items():
        reserved, calibration = _calibration(model, branches, budget, seed)
        others = [row for row in branches if id(row) not in reserved]
        factor = recalibration(calibration)
        ladder.rows.extend(others)
        ladder.gains.extend(_scaled(row.predicted["kl_ladder"], factor) for row in others)
        if calibration:
            layers.rows.extend(others)
            layers.gains.extend(layer_median(calibration, row.layer) for row in others)
    return [ladder, layers] if layers.rows else [ladder]


def _calibration(
    model: str, rows: Sequence[CeilingRow], budget: int, seed: int
) -> tuple[set[int], list[Calibration]]:
    """The identities of rows that no budget is scored on, half at most, and what calibrates now."""
    pairs = [
        (row, Calibration(row.layer, row.measured, forecast))
        for row in rows
        if row.measured is not None and (forecast := row.predicted["kl_ladder"]) is not None
    ]
    order = random.Random(f"calibration-{model}-{seed}").sample(pairs, len(pairs))
    reserved = order[: min(max(BUDGETS), len(order) // 2)]
    return {id(row) for row, _ in reserved}, [pair for _, pair in reserved[:budget]]


def _scaled(gain: Gain, factor: float) -> Gain:
    return None if gain is None else gain * factor


def kl_at_ceiling(rows: Iterable[CeilingRow]) -> MedianNats:
    """Median divergence at the measured ceiling [nats a token], with its 10-90 % range."""
    nats = [row.kl_at_ceiling for row in rows if row.kl_at_ceiling is not None]
    if len(nats) < 2:
        return MedianNats(median=nats[0] if nats else None, low=None, high=None, n=len(nats))
    tenths = quantiles(nats, n=10, method="inclusive")
    return MedianNats(median=median(nats), low=tenths[0], high=tenths[-1], n=len(nats))


class _Cases(NamedTuple):
    """Branches as arrays: the margin that calls them, whether they opened, what they weigh."""

    rows: Sequence[VerdictRow]
    margins: NDArray[np.float64]
    opened: NDArray[np.bool_]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Sequence[VerdictRow], level: str) -> "_Cases":
        """The branches as one level of the law calls them."""
        return cls(
            rows,
            np.array([row.margins[level] for row in rows]),
            np.array([row.observed_open for row in rows]),
            np.array([row.weight for row in rows]),
        )

    @property
    def chances(self) -> NDArray[np.float64]:
        """The chance to open that a margin stands for: one half at 0, two to one an octave."""
        chances: NDArray[np.float64] = 1 / (1 + 2.0**-self.margins)
        return chances


def verdict_score(rows: Sequence[VerdictRow], level: str, seed: int) -> VerdictScore:
    """The law's calls at one level, against what was observed.

    auroc and brier rank all branches by margin against `observed_open`; the calls are scored on the
    decided branches, whose interval does not span one half (`coverage` is their share;
    `auroc_decided` ranks them alone), and once more with the others counted as wrong. The p is that
    of a cluster bootstrap (lineage, then neuron) that the calls are no more often right than the
    majority of each model and behavior. `natural` holds the figures weighted back to randomly drawn
    branches.
    """
    every = _Cases.of(rows, level)
    decided = [row for row in rows if row.verdict != "undetermined"]
    ranked = {
        "auroc": auroc(every.margins, every.opened),
        "brier": brier(every.chances, every.opened),
        "n": len(rows),
        "open": int(every.opened.sum()),
        "coverage": len(decided) / len(rows),
        "decided": len(decided),
    }
    natural = {
        "auroc": auroc(every.margins, every.opened, every.weights),
        "brier": brier(every.chances, every.opened, every.weights),
        "prevalence": float(np.average(every.opened, weights=every.weights)),
    }
    if not decided:
        return VerdictScore.model_validate(ranked | {"natural": natural})
    cases = _Cases.of(decided, level)
    calls = {
        **_called(cases, seed),
        "accuracy_undetermined_wrong": float(_right(cases).sum() / len(rows)),
    }
    return VerdictScore.model_validate(ranked | calls | {"natural": natural | _natural(cases)})


def _right(cases: _Cases) -> NDArray[np.bool_]:
    """Whether the sign of the margin calls a branch rightly."""
    right: NDArray[np.bool_] = (cases.margins > 0) == cases.opened
    return right


def _called(cases: _Cases, seed: int) -> dict[str, object]:
    """The figures of calls on decided branches, beside the majority of each model and behavior."""
    right, table = _right(cases), confusion(cases.margins > 0, cases.opened)
    plain = majority_calls(cases.opened, _groups(cases)) == cases.opened
    outer = [row.lineage for row in cases.rows]
    inner = [(row.model, row.neuron) for row in cases.rows]
    around = spread(resampled_means(right, outer, inner, seed))
    against = spread(resampled_means(right.astype(float) - plain, outer, inner, seed))
    return {
        "auroc_decided": auroc(cases.margins, cases.opened),
        "accuracy": table.accuracy,
        "balanced_accuracy": table.balanced_accuracy,
        "mcc": table.mcc,
        "confusion": Calls(**table._asdict()),
        "majority_baseline": float(plain.mean()),
        "low": around.low,
        "high": around.high,
        "p_value": against.p_value,
        "mcnemar_p": mcnemar(right, plain),
    }


def _groups(cases: _Cases) -> list[tuple[str, str]]:
    return [(row.model, row.behavior) for row in cases.rows]


def _natural(cases: _Cases) -> dict[str, float]:
    """The figures of calls, weighted back to randomly drawn branches."""
    weighed = confusion(cases.margins > 0, cases.opened, cases.weights)
    majority = majority_calls(cases.opened, _groups(cases), cases.weights) == cases.opened
    return {
        "accuracy": weighed.accuracy,
        "balanced_accuracy": weighed.balanced_accuracy,
        "majority_baseline": float(np.average(majority, weights=cases.weights)),
    }


def verdict_scores(rows: Sequence[VerdictRow], seed: int) -> dict[str, VerdictScore]:
    """Every level on `rows`."""
    return {level: verdict_score(rows, level, seed) for level in LEVELS} if rows else {}


def baseline_scores(rows: Sequence[VerdictRow]) -> dict[str, Auroc]:
    """AUROC for observed open of two classifiers that know no edge: the clean margin, the layer.

    The layer's score is the share of opened branches at its depth in all other lineages.
    """
    if not rows:
        return {}
    opened = [row.observed_open for row in rows]
    margins, layers = (
        [-row.log_odds_margin for row in rows],
        [_opened_at(row, rows) for row in rows],
    )
    return {
        "margin_only": Auroc(auroc=auroc(margins, opened), n=len(rows)),
        "layer_only": Auroc(auroc=auroc(layers, opened), n=len(rows)),
    }


def _opened_at(row: VerdictRow, rows: Sequence[VerdictRow]) -> float:
    """The share of branches of other lineages that open at the depth of this one (in quarters)."""
    others = [
        other.observed_open
        for other in rows
        if other.lineage != row.lineage and _quarter(other) == _quarter(row)
    ]
    return sum(others) / len(others) if others else 0.0


def _quarter(row: VerdictRow) -> int:
    return int(4 * row.layer / row.layers)
