"""The rows of the study turned into its figures; no model, so that the figures can be made again
from the rows alone.
"""

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median, quantiles
from typing import Any

import numpy as np

from fulcra.formulas.classification import auroc, brier, confusion, majority_calls, mcnemar
from fulcra.formulas.edge_error import alignment_errors, edge_error
from fulcra.formulas.resampling import resampled_means, spread
from fulcra.law.predictors import CEILINGS, Calibration, layer_median, recalibration

Row = Mapping[str, Any]
Rows = Sequence[Row]
#: Branches of the same model that a calibrated predictor may see the ceilings of.
BUDGETS = (0, 2, 8, 32)
TIERS = {one.name: one.tier for one in CEILINGS} | {"layer_median": 3, "kl_ladder_recalibrated": 3}
LEVELS = ("L1", "L2", "L3", "L1_surprise", "L1_flip", "L1_scaled")


def grouped(rows: Rows, *keys: str) -> dict[str, list[Row]]:
    """The rows by the values of `keys`, joined by a space."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[" ".join(str(row[key]) for key in keys)].append(row)
    return dict(found)


def _gains(gains: Iterable[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([math.nan if gain is None else gain for gain in gains])


def ceiling_score(
    rows: Rows, predicted: Iterable[float | None], tier: int, seed: int
) -> dict[str, Any]:
    """One method's errors on `rows`, with the 95 % interval of the MAE over lineages, then
    neurons.
    """
    first, second = _gains(predicted), _gains(row["measured"] for row in rows)
    layers = [(row["model"], row["layer"]) for row in rows]
    bulk = [0 < row["layer"] < row["layers"] - 1 for row in rows]
    found = edge_error(first, second, [row["last"] for row in rows], layers, bulk)
    errors = alignment_errors(first, second)
    known = [i for i, error in enumerate(errors) if not math.isnan(error)]
    around = (math.nan, math.nan)
    if known:
        clusters = [(rows[i]["model"], rows[i]["neuron"]) for i in known]
        around = spread(
            resampled_means(errors[known], [rows[i]["lineage"] for i in known], clusters, seed)
        )[:2]
    return {"tier": tier, **found._asdict(), "low": around[0], "high": around[1]}


def ceiling_scores(rows: Rows, seed: int) -> dict[str, dict[str, Any]]:
    """Every method on `rows`; the calibrated ones on the branches that served no calibration, by
    budget in their name.
    """
    scores = {
        name: ceiling_score(rows, [row["predicted"][name] for row in rows], TIERS[name], seed)
        for name in rows[0]["predicted"]
    }
    for budget in BUDGETS:
        for method, kept, gains in _calibrated(rows, budget, seed):
            scores[f"{method}_{budget}"] = ceiling_score(
                kept, [gains[id(row)] for row in kept], 3 if budget else 2, seed
            )
    return scores


def _calibrated(
    rows: Rows, budget: int, seed: int
) -> list[tuple[str, list[Row], dict[int, float | None]]]:
    """(method, scored rows, gain by row): each model's first branches of a fixed random order
    calibrate, half at most.
    """
    kept: list[Row] = []
    ladder: dict[int, float | None] = {}
    layers: dict[int, float | None] = {}
    for model, some in grouped(rows, "model").items():
        known = [
            row
            for row in some
            if row["measured"] is not None and row["predicted"]["kl_ladder"] is not None
        ]
        order = random.Random(f"calibration-{model}-{seed}").sample(known, len(known))
        reserved = {id(row) for row in order[: min(max(BUDGETS), len(order) // 2)]}
        others = [
            Calibration(r["layer"], r["measured"], r["predicted"]["kl_ladder"])
            for r in order[: min(budget, len(reserved))]
        ]
        factor, rest = recalibration(others), [row for row in some if id(row) not in reserved]
        kept += rest
        ladder |= {
            id(row): None if (gain := row["predicted"]["kl_ladder"]) is None else gain * factor
            for row in rest
        }
        layers |= {id(row): layer_median(others, row["layer"]) for row in rest} if others else {}
    methods = [("kl_ladder_recalibrated", kept, ladder)]
    return methods + (
        [("layer_median", [row for row in kept if id(row) in layers], layers)] if layers else []
    )


def noise_floor(rows: Rows) -> dict[str, Any]:
    """What a perfect prediction would be off by, mean |error| of one measured ceiling: `floor` in
    alignment, `log2` in octaves.

    From halves of the prompts, with other luck: each half has twice the variance of the whole, so
    their mean |difference| is twice the floor. `same_prompts` is the smaller one of new luck alone:
    a retest on all the same prompts, over sqrt(2).
    """
    again = [(row["measured"], row["repeats"]) for row in rows if row["repeats"]]
    luck = _apart([(first, one["retest"]) for first, one in again], math.sqrt(2))
    return {**_apart([tuple(one["halves"]) for _, one in again], 2.0), "same_prompts": luck}


def _apart(pairs: Sequence[tuple[float | None, float | None]], over: float) -> dict[str, Any]:
    """The mean |difference| of two measurements, divided by `over`; pairs with a censored one are
    counted apart.
    """
    known = [(first, second) for first, second in pairs if first is not None and second is not None]
    if not known:
        return {"floor": None, "log2": None, "n": 0, "censored": len(pairs)}
    first, second = (list(column) for column in zip(*known, strict=True))
    octaves = fmean(abs(math.log2(a / b)) for a, b in known)
    apart = float(alignment_errors(first, second).mean())
    return {
        "floor": apart / over,
        "log2": octaves / over,
        "n": len(known),
        "censored": len(pairs) - len(known),
    }


def kl_at_ceiling(rows: Rows) -> dict[str, Any]:
    """Median divergence at the measured ceiling [nats a token], with its 10-90 % range."""
    nats = [row["kl_at_ceiling"] for row in rows if row["kl_at_ceiling"] is not None]
    if len(nats) < 2:
        return {"median": nats[0] if nats else None, "low": None, "high": None, "n": len(nats)}
    tenths = quantiles(nats, n=10, method="inclusive")
    return {"median": median(nats), "low": tenths[0], "high": tenths[-1], "n": len(nats)}


def verdict_score(rows: Rows, level: str, seed: int) -> dict[str, Any]:
    """The law's calls at one level, against what was observed.

    auroc and brier rank all branches by margin against `observed_open`; the calls are scored on the
    decided branches, whose interval does not span one half (`coverage` is their share;
    `auroc_decided` ranks them alone), and once more with the others counted as wrong. The p is that
    of a cluster bootstrap (lineage, then neuron) that the calls are no more often right than the
    majority of each model and behavior. `natural` holds the figures weighted back to randomly drawn
    branches.
    """
    margins = np.array([row["margins"][level] for row in rows])
    opened, weights = (
        np.array([row["observed_open"] for row in rows]),
        np.array([row["weight"] for row in rows]),
    )
    decided = np.array([row["verdict"] != "undetermined" for row in rows])
    chance = 1 / (1 + 2.0**-margins)
    found = {
        "auroc": auroc(margins, opened),
        "brier": brier(chance, opened),
        "n": len(rows),
        "open": int(opened.sum()),
        "coverage": float(decided.mean()),
        "decided": int(decided.sum()),
    }
    prevalence = float(np.average(opened, weights=weights))
    natural = {
        "auroc": auroc(margins, opened, weights),
        "brier": brier(chance, opened, weights),
        "prevalence": prevalence,
    }
    if not decided.any():
        return found | {"natural": natural}
    some = [row for row, kept in zip(rows, decided, strict=True) if kept]
    calls, truth, size = margins[decided] > 0, opened[decided], weights[decided]
    groups = [(row["model"], row["behavior"]) for row in some]
    majority, table = majority_calls(truth, groups), confusion(calls, truth)
    right, plain = calls == truth, majority == truth
    outer, inner = [row["lineage"] for row in some], [(row["model"], row["neuron"]) for row in some]
    around = spread(resampled_means(right, outer, inner, seed))
    against = spread(resampled_means(right.astype(float) - plain, outer, inner, seed))
    weighed = confusion(calls, truth, size)
    return found | {
        "auroc_decided": auroc(margins[decided], truth),
        "accuracy": table.accuracy,
        "balanced_accuracy": table.balanced_accuracy,
        "mcc": table.mcc,
        "confusion": table._asdict(),
        "accuracy_undetermined_wrong": float(right.sum() / len(rows)),
        "majority_baseline": float(plain.mean()),
        "low": around.low,
        "high": around.high,
        "p_value": against.p_value,
        "mcnemar_p": mcnemar(right, plain),
        "natural": (
            natural
            | {
                "accuracy": weighed.accuracy,
                "balanced_accuracy": weighed.balanced_accuracy,
                "majority_baseline": float(
                    np.average(majority_calls(truth, groups, size) == truth, weights=size)
                ),
            }
        ),
    }


def verdict_scores(rows: Rows, seed: int) -> dict[str, dict[str, Any]]:
    """Every level on `rows`."""
    return {level: verdict_score(rows, level, seed) for level in LEVELS} if rows else {}


def baseline_scores(rows: Rows) -> dict[str, dict[str, Any]]:
    """AUROC for observed open of two classifiers that know no edge: the clean margin, and the
    layer.

    The layer's score is the share of opened branches at its depth (in quarters) in all other
    lineages.
    """
    if not rows:
        return {}
    opened = [row["observed_open"] for row in rows]
    margins = [-row["log_odds_margin"] for row in rows]
    layers = [
        _rate(
            [
                other
                for other in rows
                if other["lineage"] != row["lineage"] and _depth(other) == _depth(row)
            ]
        )
        for row in rows
    ]
    return {
        "margin_only": {"auroc": auroc(margins, opened), "n": len(rows)},
        "layer_only": {"auroc": auroc(layers, opened), "n": len(rows)},
    }


def _depth(row: Row) -> int:
    return int(4 * row["layer"] / row["layers"])


def _rate(rows: Rows) -> float:
    return sum(row["observed_open"] for row in rows) / len(rows) if rows else 0.0
