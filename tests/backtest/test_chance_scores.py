"""Scores of chances on planted rows: perfect, empty and useless forecasts score as they must."""

import math

import numpy as np
import pytest

from fulcra.backtest.chance_scores import TOPS, Cases, chance_score, scored
from fulcra.protocol.results.base import ModelEntry, Named
from fulcra.protocol.results.chances import ChanceRow, ChanceSettings, End, ModelChances, NoiseEntry

NOISE = NoiseEntry(
    flip_at=0, flip_scale=1, cost_at=1, cost_scale=1, shared=0, learned_on=("another",)
)
LAYERS = 4


def row(
    neuron: int, end: End | None, chance: float, margin: float = 0.0, weight: float = 1.0
) -> ChanceRow:
    return ChanceRow(
        branch=f"L{neuron % LAYERS}.N{neuron}+",
        weight=weight,
        end=end,
        under=1 - chance,
        open=chance,
        over=0.0,
        rivals={
            "margin": margin,
            "tail": margin,
            "replies": margin,
            "dosed_logit": margin - 1,
            "best_odds": margin,
        },
    )


def model_of(rows: list[ChanceRow], name: str = "planted") -> ModelChances:
    entry = ModelEntry(
        name=name,
        sha256="0",
        family="llama",
        layers=LAYERS,
        d_model=8,
        d_mlp=8,
        parameters=1,
        dtype="float32",
    )
    return ModelChances(
        model=entry,
        behavior=Named(name="refusal", sha256="0"),
        settings=ChanceSettings(),
        noise=NOISE,
        prompts=16,
        first=4,
        gains=(0.3, 0.6),
        horizon=10,
        undosed_share=0.0,
        seconds={},
        rows=tuple(rows),
    )


def planted(seed: int = 0, count: int = 400) -> ModelChances:
    """A calibrated forecast: branches open as often as their chances say."""
    rng = np.random.default_rng(seed)
    chances = rng.random(count) ** 6
    margins = np.log(chances) + 2
    ends: list[End] = ["open" if rng.random() < chance else "under" for chance in chances]
    rows = [row(i, ends[i], float(chances[i]), float(margins[i])) for i in range(count)]
    return model_of(rows, f"planted-{seed}")


def test_a_calibrated_forecast_is_better_than_the_prevalence_and_its_error_is_small() -> None:
    (model,) = scored([planted()], seed=0)
    score = model.score
    assert score is not None
    assert score.brier_p < 0.01
    assert 0.2 < score.brier_skill < 1
    assert score.calibration_error < 0.05
    assert score.low is not None
    assert score.average_precision is not None
    assert score.low < score.average_precision
    assert sum(part.n for part in score.bins) == len(model.rows)


def test_the_prevalence_itself_has_no_skill_and_no_error() -> None:
    rows = [row(i, "open" if i % 8 == 0 else "under", 0.125) for i in range(64)]
    score = chance_score(Cases.of(model_of(rows)), np.full(64, 0.125), 0)
    assert score.brier_skill == pytest.approx(0)
    assert score.calibration_error == pytest.approx(0)
    assert (score.auroc, score.brier_p) == (0.5, 1.0)


def test_a_perfect_forecast_is_perfect_in_every_score() -> None:
    opened = [i < 40 for i in range(200)]
    rows = [row(i, "open" if yes else "under", float(yes)) for i, yes in enumerate(opened)]
    (model,) = scored([model_of(rows)], seed=0)
    score = model.score
    assert score is not None
    assert (score.brier, score.auroc, score.average_precision) == (0, 1, 1)
    assert (score.precision_32, score.log_loss) == (1, pytest.approx(0, abs=1e-5))
    assert (model.guards["chance"].precision, model.guards["chance"].recall) == (1, 1)
    assert model.macro_f1["chances"] == 1 > model.macro_f1["under"]


def test_a_weight_counts_as_so_many_branches() -> None:
    rows = [row(0, "open", 0.7), row(1, "under", 0.2, weight=3.0), row(2, "under", 0.1)]
    copies = [rows[0], *(row(10 + i, "under", 0.2) for i in range(3)), rows[2]]
    weighted, whole = (Cases.of(model_of(each)) for each in (rows, copies))
    first, second = (chance_score(each, each.chances[1], 0) for each in (weighted, whole))
    for name in ("brier", "brier_skill", "log_loss", "calibration_error", "average_precision"):
        assert getattr(first, name) == pytest.approx(getattr(second, name))
    assert weighted.prevalence == whole.prevalence == 0.2


@pytest.mark.slow
def test_rivals_are_chances_learned_on_the_other_models_alone() -> None:
    first, second = planted(0), planted(1)
    alone = scored([first], seed=0)[0]
    assert alone.rivals == {}
    both = scored([first, second], seed=0)
    assert set(both[0].rivals) == {"prevalence", "layer", *first.rows[0].rivals}
    margin = both[0].rivals["margin"]
    assert margin.brier_p < 0.01
    flipped = second.model_copy(
        update={"rows": tuple(r.model_copy(update={"end": "under"}) for r in second.rows)}
    )
    assert scored([first, flipped], seed=0)[0].rivals["margin"] != margin
    assert both[0].score == alone.score


def test_a_model_without_an_observed_end_is_left_as_it_is() -> None:
    model = model_of([row(0, None, 0.5)])
    assert scored([model], seed=0) == (model,)


def test_measuring_more_never_finds_less_and_the_cost_is_counted() -> None:
    (model,) = scored([planted()], seed=0)
    found = [top.found for top in model.tops]
    assert found == sorted(found)
    assert {top.k for top in model.tops} >= {k for k in TOPS if k < 400}
    nearly = next(top for top in model.tops if top.found >= 0.98)
    assert nearly.tokens == nearly.k * 2 * 16 * 10
    assert nearly.share == pytest.approx(nearly.k / 400)


def test_a_fixed_guard_calls_by_the_trigger_alone() -> None:
    rows = [row(0, "open", 0.9, margin=1 - math.log2(1.5)), row(1, "under", 0.1, margin=-1.0)]
    (model,) = scored([model_of(rows)], seed=0)
    assert model.guards["gain 1.9"].called == 1
    assert model.guards["gain 1.65"].precision == 1
    assert model.guards["gain 1.37"].called == 0
    assert model.guards["gain 1.37"].precision is None
