"""Ceilings scored, from their rows alone: no model is loaded, so figures can be made again."""

import math
import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from statistics import median, quantiles
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fulcra.backtest.grouping import grouped
from fulcra.backtest.outside_scope import OutsideRow
from fulcra.formulas.edge_error import alignment_errors, edge_error
from fulcra.formulas.resampling import resampled_means, spread
from fulcra.protocol.predictors import CEILINGS, ROLLED, Calibration, layer_median, recalibration
from fulcra.protocol.results.validation import (
    CeilingRow,
    CeilingScore,
    MedianNats,
)

#: A branch whose ceiling was forecast and measured, of one neuron or of a joint write.
Edges = CeilingRow | OutsideRow
Gain = float | None
#: Branches of the same model that a calibrated predictor may see the ceilings of.
BUDGETS = (0, 2, 8, 32)
TIERS = {predictor.name: predictor.tier for predictor in (*CEILINGS, *ROLLED)}


class Calibrated(NamedTuple):
    """Branches that served no calibration, with their ceilings by one calibrated predictor."""

    method: str
    rows: list[CeilingRow]
    gains: list[Gain]


def _array(gains: Iterable[Gain]) -> NDArray[np.float64]:
    return np.array([math.nan if gain is None else gain for gain in gains])


def of_model(row: Edges) -> Hashable:
    """What is resampled together within a lineage: both poles of one neuron of one model."""
    return row.model, row.neuron


def ceiling_score(
    rows: Sequence[Edges],
    predicted: Iterable[Gain],
    tier: int,
    seed: int,
    cluster: Callable[[Edges], Hashable] = of_model,
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
        inner = [cluster(rows[i]) for i in places]
        low, high, _ = spread(resampled_means(errors[places], outer, inner, seed))
    return CeilingScore(tier=tier, **error._asdict(), low=low, high=high)


def method_scores(
    rows: Sequence[Edges], seed: int, cluster: Callable[[Edges], Hashable] = of_model
) -> dict[str, CeilingScore]:
    """Every method that needs no calibration, on `rows`."""
    return {
        name: ceiling_score(rows, [row.predicted[name] for row in rows], TIERS[name], seed, cluster)
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
    return median_nats(row.kl_at_ceiling for row in rows)


def median_nats(values: Iterable[float | None]) -> MedianNats:
    """The median of divergences [nats a token], with their 10-90 % range; None counts nowhere."""
    nats = [value for value in values if value is not None]
    if len(nats) < 2:
        return MedianNats(median=nats[0] if nats else None, low=None, high=None, n=len(nats))
    tenths = quantiles(nats, n=10, method="inclusive")
    return MedianNats(median=median(nats), low=tenths[0], high=tenths[-1], n=len(nats))
