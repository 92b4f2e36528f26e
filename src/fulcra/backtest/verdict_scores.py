"""The law's calls scored, from their rows alone: no model is loaded, so they can be made again."""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fulcra.formulas.classification import auroc, brier, confusion, majority_calls, mcnemar
from fulcra.formulas.resampling import resampled_means, spread
from fulcra.protocol.results.validation import Auroc, Calls, VerdictRow, VerdictScore

#: The edges that the law is called with, from both predicted (L1) to both measured (L3).
LEVELS = ("L1", "L2", "L3", "L1_sampled_surprise_ladder", "L1_surprise", "L1_flip", "L1_scaled")
#: The measured trigger without a margin to the ceiling: what L3 must rank better than. A trigger is
#: climbed up to the measured ceiling alone (protocol/schedule.py), so this too ranks last whatever
#: has its trigger beyond.
TRIGGER_ALONE = "trigger"


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


def of_model(row: VerdictRow) -> Hashable:
    """What is resampled together within a lineage: both poles of one neuron of one model."""
    return row.model, row.neuron


def verdict_score(
    rows: Sequence[VerdictRow],
    level: str,
    seed: int,
    cluster: Callable[[VerdictRow], Hashable] = of_model,
) -> VerdictScore:
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
        **_called(cases, seed, cluster),
        "accuracy_undetermined_wrong": float(_right(cases).sum() / len(rows)),
    }
    return VerdictScore.model_validate(ranked | calls | {"natural": natural | _natural(cases)})


def _right(cases: _Cases) -> NDArray[np.bool_]:
    """Whether the sign of the margin calls a branch rightly."""
    right: NDArray[np.bool_] = (cases.margins > 0) == cases.opened
    return right


def _called(
    cases: _Cases, seed: int, cluster: Callable[[VerdictRow], Hashable]
) -> dict[str, object]:
    """The figures of calls on decided branches, beside the majority of each model and behavior."""
    right, table = _right(cases), confusion(cases.margins > 0, cases.opened)
    plain = majority_calls(cases.opened, _groups(cases)) == cases.opened
    outer = [row.lineage for row in cases.rows]
    inner = [cluster(row) for row in cases.rows]
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


def verdict_scores(
    rows: Sequence[VerdictRow],
    seed: int,
    cluster: Callable[[VerdictRow], Hashable] = of_model,
) -> dict[str, VerdictScore]:
    """The score of every level that `rows` are called at; none where there are no rows."""
    levels = [level for level in LEVELS if rows and level in rows[0].margins]
    return {level: verdict_score(rows, level, seed, cluster) for level in levels}


def failure_modes(rows: Sequence[VerdictRow]) -> dict[str, float]:
    """The share of each failure mode among closed branches, weighed to the pools; {} of none."""
    closed = [row for row in rows if row.verdict == "closed" and row.failure_mode is not None]
    total = sum(row.weight for row in closed)
    names = sorted({row.failure_mode or "" for row in closed})
    return {
        name: sum(row.weight for row in closed if row.failure_mode == name) / total
        for name in names
    }


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
