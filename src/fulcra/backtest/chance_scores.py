"""Chances of an observed opening scored, from their rows alone, beside what else could rank them.

No model is loaded, so the scores of a result can be made again.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fulcra.backtest.windows import BEYOND
from fulcra.formulas.calibration import calibration, calibration_error, log_loss, macro_f1
from fulcra.formulas.classification import auroc, brier, confusion
from fulcra.formulas.ranking import at_top, average_precision, ranking_interval
from fulcra.formulas.resampling import resampled_means, spread
from fulcra.protocol.results.base import finite
from fulcra.protocol.results.chances import (
    ENDS,
    ChanceBin,
    ChanceRow,
    ChanceScore,
    GuardCalls,
    ModelChances,
    TopShare,
)
from fulcra.types import Neuron

Floats = NDArray[np.float64]

#: Edges of the bins of a calibration curve: at a prevalence near 1 % even ones would hold one bin.
EDGES = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 1.0)
LIKELY = 0.1
#: How many branches a user measures, and the share of all open ones that is nearly all.
TOPS, NEARLY_ALL = (8, 16, 32, 64, 128, 256, 512), 0.98
PRECISION_AT = 32
#: Rules that call a branch open below a fixed gain: a published guard, and paper A's range.
GUARDS = {"gain 1.9": 1.9, "gain 1.65": 1.65, "gain 1.37": 1.37}
MARGINS = ("margin", "tail", "replies")


class Cases(NamedTuple):
    """The branches of one model whose end was observed, as arrays over branches."""

    rows: Sequence[ChanceRow]
    end: NDArray[np.int64]
    weight: Floats
    neuron: NDArray[np.int64]
    quarter: NDArray[np.int64]

    @classmethod
    def of(cls, model: ModelChances) -> "Cases":
        """The observed branches of a model's rows."""
        rows = [row for row in model.rows if row.end is not None]
        sites = [Neuron.parse(row.branch) for row in rows]
        codes = {site: i for i, site in enumerate(dict.fromkeys(site.site for site in sites))}
        return cls(
            rows,
            np.array([ENDS.index(row.end or "under") for row in rows], np.int64),
            np.array([row.weight for row in rows]),
            np.array([codes[site.site] for site in sites], np.int64),
            np.array([4 * site.layer // model.model.layers for site in sites], np.int64),
        )

    @property
    def open(self) -> NDArray[np.bool_]:
        """Whether each branch was observed open."""
        opened: NDArray[np.bool_] = self.end == ENDS.index("open")
        return opened

    @property
    def prevalence(self) -> float:
        """The weighted share of open branches."""
        return float(np.average(self.open, weights=self.weight))

    def rival(self, name: str) -> Floats:
        """What a rival ranks by, [branch]."""
        return np.array([row.rivals[name] for row in self.rows])

    @property
    def chances(self) -> Floats:
        """The chances of under, open and over, [end, branch]."""
        return np.array([[getattr(row, end) for row in self.rows] for end in ENDS])


def scored(models: Sequence[ModelChances], seed: int) -> tuple[ModelChances, ...]:
    """The models with the scores of their chances; those without an observed end as they are.

    Rivals are turned into chances by a logistic regression on the other models, and are there only
    where there are such.
    """
    cases = [Cases.of(model) for model in models]
    return tuple(
        _scored(model, mine, [c for c in cases if c is not mine and c.rows], seed)
        if mine.rows
        else model
        for model, mine in zip(models, cases, strict=True)
    )


def _scored(model: ModelChances, cases: Cases, others: Sequence[Cases], seed: int) -> ModelChances:
    rivals = rival_chances(cases, others) if others else {}
    return model.model_copy(
        update={
            "open": int(cases.open.sum()),
            "prevalence": cases.prevalence,
            "score": chance_score(cases, cases.chances[1], seed),
            "rivals": {name: chance_score(cases, each, seed) for name, each in rivals.items()},
            "macro_f1": three_ends(cases),
            "tops": tuple(top_shares(cases, len(model.gains) * model.prompts * model.horizon)),
            "guards": guards(cases),
        }
    )


def chance_score(cases: Cases, chances: Floats, seed: int) -> ChanceScore:
    """The scores of chances to be observed open, [branch]."""
    opened, weight = cases.open, cases.weight
    bins = calibration(chances, opened, weight, EDGES)
    likely = [part for part in bins if part.low >= LIKELY]
    plain = cases.prevalence
    better = (plain - opened) ** 2 - (chances - opened) ** 2
    outer = [0] * len(opened)
    means = resampled_means(better, outer, cases.neuron.tolist(), seed, weight)
    own, reference = brier(chances, opened, weight), plain * (1 - plain)
    precision = ranking_interval(average_precision, chances, opened, weight, cases.neuron, seed)
    return ChanceScore(
        brier=own,
        brier_skill=1 - own / reference if reference else 0.0,
        brier_p=spread(means).p_value,
        log_loss=log_loss(chances, opened, weight),
        calibration_error=calibration_error(bins),
        likely_error=finite(calibration_error(likely)),
        auroc=finite(auroc(chances, opened, weight)),
        average_precision=finite(precision.value),
        low=finite(precision.low),
        high=finite(precision.high),
        precision_32=at_top(chances, opened, weight, PRECISION_AT)[1],
        bins=tuple(
            ChanceBin(**part._replace(mean=0.0, rate=0.0)._asdict()).model_copy(
                update={"mean": finite(part.mean), "rate": finite(part.rate)}
            )
            for part in bins
        ),
    )


def rival_chances(cases: Cases, others: Sequence[Cases]) -> dict[str, Floats]:
    """The chance to open by each rival, learned on other models, every one of the same weight.

    `prevalence` and `layer` (the rate at the same quarter of the depth) are rates of the others;
    the rest are logistic regressions on one score.
    """
    opened = np.concatenate([other.open for other in others])
    weight = np.concatenate([other.weight / other.weight.sum() for other in others])
    quarter = np.concatenate([other.quarter for other in others])
    plain = float(np.average(opened, weights=weight))
    depths = [_rate(opened, weight * (quarter == place), plain) for place in range(4)]
    chances = {
        "prevalence": np.full(len(cases.rows), plain),
        "layer": np.array(depths)[cases.quarter],
    }
    for name in cases.rows[0].rivals:
        values = np.concatenate([other.rival(name) for other in others])
        chances[name] = _regressed(values, opened, weight, cases.rival(name))
    return chances


def _rate(opened: NDArray[np.bool_], weight: Floats, otherwise: float) -> float:
    return float(np.average(opened, weights=weight)) if weight.sum() else otherwise


def _regressed(values: Floats, opened: NDArray[np.bool_], weight: Floats, scores: Floats) -> Floats:
    """The chances that a weighted logistic regression on one score gives to `scores`."""
    from sklearn.linear_model import LogisticRegression

    if not opened.any():
        return np.zeros(len(scores))
    model = LogisticRegression(C=1e6, max_iter=1000)
    model.fit(values[:, None], opened, sample_weight=weight * len(values))
    chances: Floats = model.predict_proba(scores[:, None])[:, 1]
    return chances


def three_ends(cases: Cases) -> dict[str, float]:
    """Macro-F1 of under, open and over, of each way to call them."""
    return {
        name: end_score(cases, called, cases.weight) for name, called in end_calls(cases).items()
    }


def end_calls(cases: Cases) -> dict[str, NDArray[np.int64]]:
    """The end that is called of each branch: the likeliest, by the margin, and always under.

    The margin calls open above 0, over where a trigger is forecast at all, else under.
    """
    reached = cases.rival("dosed_logit") > -math.log2(BEYOND)
    return {
        "chances": cases.chances.argmax(0),
        "margin": np.where(cases.rival("margin") > 0, 1, np.where(reached, 2, 0)),
        "under": np.zeros(len(cases.rows), np.int64),
    }


def end_score(cases: Cases, called: NDArray[np.int64], weight: Floats) -> float:
    """The macro-F1 of ends that are called, weighed cases."""
    return macro_f1(called, cases.end, weight, len(ENDS))


def top_shares(cases: Cases, tokens: float) -> list[TopShare]:
    """What measuring the k likeliest branches finds, at every k there is and where nearly all is.

    `tokens` of a branch are those of every gain, prompt and token of the horizon.
    """
    opened, weight, chances = cases.open, cases.weight, cases.chances[1]
    if not opened.any():
        return []
    total = float(weight.sum())
    order = np.argsort(-chances, kind="stable")
    reached = np.cumsum((weight * opened)[order]) / (weight * opened).sum()
    last = int(np.searchsorted(reached, NEARLY_ALL))
    nearly = math.ceil(float(weight[order][: last + 1].sum()))
    return [
        TopShare(
            k=k,
            share=k / total,
            tokens=round(k * tokens),
            found=at_top(chances, opened, weight, k)[0],
        )
        for k in sorted({*(k for k in TOPS if k < total), nearly})
    ]


def guards(cases: Cases) -> dict[str, GuardCalls]:
    """The calls of open by the chance, by the sign of each margin, and below each fixed gain."""
    trigger = cases.rival("dosed_logit")
    calls = {"chance": cases.chances[1] >= 0.5}
    calls |= {name: cases.rival(name) > 0 for name in MARGINS}
    calls |= {name: trigger > -math.log2(gain) for name, gain in GUARDS.items()}
    return {name: _calls(cases, called) for name, called in calls.items()}


def _calls(cases: Cases, called: NDArray[np.bool_]) -> GuardCalls:
    table = confusion(called, cases.open, cases.weight)
    opened = table.tp + table.fn
    return GuardCalls(
        called=table.tp + table.fp,
        precision=finite(table.tp / (table.tp + table.fp)) if table.tp + table.fp else None,
        recall=table.tp / opened if opened else 0.0,
    )
