"""Figures made of planted rows: a right law scores as right, a useless one as chance, calibration
as what it is.
"""

import math

import numpy as np
import pytest

from fulcra.backtest.constancy import ceiling_spreads, trigger_shares
from fulcra.backtest.noise import noise_floor
from fulcra.backtest.scoring import (
    baseline_scores,
    ceiling_scores,
    kl_at_ceiling,
    verdict_score,
)
from fulcra.backtest.windows import PoolRow, margin_score, stratified, stratum
from fulcra.formulas.edge_error import alignment_errors
from fulcra.protocol.results.validation import CeilingRow, Repeats, VerdictRow


def ceilings(seed: int = 0, factor: float = 2.0, n: int = 80) -> list[CeilingRow]:
    """Two models whose kl_ladder is off by one factor and whose constant is 1."""
    rng = np.random.default_rng(seed)
    rows: list[CeilingRow] = []
    for i in range(n):
        gain = float(np.exp(rng.normal(scale=0.3)))
        repeats = Repeats(retest=gain * 1.1, halves=(gain * 1.2, gain)) if i % 4 == 0 else None
        row = CeilingRow(
            lineage=f"l{i % 2}",
            recipe="r",
            model=f"m{i % 2}",
            branch=f"n{i // 4}+",
            neuron=f"n{i // 4}",
            layer=i % 5,
            layers=5,
            last=5.0,
            budget=3.0,
            residual=6.0,
            alignment0=0.0,
            measured=gain,
            kl_at_ceiling=0.5 + i / 100,
            repeats=repeats,
            predicted={"kl_ladder": gain / factor, "family_constant": 1.0},
        )
        rows.append(row)
    return rows


def verdicts(seed: int, informed: bool) -> list[VerdictRow]:
    """Branches whose openness a margin tells, or does not."""
    rng = np.random.default_rng(seed)
    rows: list[VerdictRow] = []
    for i in range(160):
        opened = bool(rng.random() < 0.4)
        margin = (2.0 if opened else -2.0) + rng.normal() if informed else float(rng.normal())
        row = VerdictRow.model_construct(
            lineage=f"l{i % 4}",
            model=f"m{i % 4}",
            behavior="b",
            neuron=f"n{i // 2}",
            layer=i % 8,
            layers=8,
            weight=1.0 + i % 3,
            observed_open=opened,
            log_odds_margin=7.0,
            verdict="undetermined" if i % 10 == 0 else "open" if opened else "closed",
            margins={"L3": margin},
        )
        rows.append(row)
    return rows


def repeated(measured: float, repeats: Repeats | None) -> CeilingRow:
    """A ceiling with its second measurements, and nothing else."""
    return CeilingRow.model_construct(measured=measured, repeats=repeats)


def test_one_factor_is_learnt_and_a_right_ladder_has_no_error() -> None:
    scores = ceiling_scores(ceilings(), seed=0)
    assert scores["kl_ladder"].bias_log2 == pytest.approx(-1)
    assert scores["kl_ladder"].low <= scores["kl_ladder"].mae <= scores["kl_ladder"].high
    assert scores["kl_ladder_recalibrated_0"].bias_log2 == pytest.approx(-1)
    assert scores["kl_ladder_recalibrated_2"].mae == pytest.approx(0, abs=1e-9)
    assert (
        scores["kl_ladder"].tier,
        scores["kl_ladder_recalibrated_8"].tier,
        scores["layer_median_8"].tier,
    ) == (2, 3, 3)
    assert "layer_median_0" not in scores


def test_budgets_are_compared_on_branches_that_calibrated_none_of_them() -> None:
    scores = ceiling_scores(ceilings(n=200), seed=0)
    assert {
        scores[f"{method}_{n}"].n
        for method in ("layer_median", "kl_ladder_recalibrated")
        for n in (2, 8, 32)
    } == {200 - 2 * 32}


def test_the_noise_floor_is_what_a_perfect_prediction_would_be_off_by() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.05, size=(4000, 3))
    rows = [
        repeated(
            0.5 + (a + b) / 2,
            Repeats(retest=0.5 + c / math.sqrt(2), halves=(0.5 + a, 0.5 + b)),
        )
        for a, b, c in noise
    ]
    gains = np.array([row.measured for row in rows], dtype=float)
    perfect = float(np.abs(alignment_errors(gains, [0.5] * len(rows))).mean())
    noise_of_one = noise_floor(rows)
    assert noise_of_one.floor == pytest.approx(perfect, rel=0.05)
    assert noise_of_one.same_prompts.floor == pytest.approx(perfect, rel=0.05)
    assert noise_of_one.n == 4000


def test_censored_repeats_are_counted_and_nothing_measured_has_no_floor() -> None:
    again = Repeats(retest=None, halves=(1.0, 1.1))
    noise = noise_floor([repeated(1.0, again), repeated(1.0, None)])
    assert (noise.n, noise.censored) == (1, 0)
    assert (noise.same_prompts.n, noise.same_prompts.censored) == (0, 1)
    assert noise_floor([]).floor is None


def test_divergence_at_the_ceiling_is_a_median_with_its_tenths() -> None:
    nats = kl_at_ceiling(ceilings())
    assert nats.median == pytest.approx(np.median([0.5 + i / 100 for i in range(80)]))
    assert (nats.low, nats.high) == pytest.approx(
        tuple(np.quantile([0.5 + i / 100 for i in range(80)], [0.1, 0.9]))
    )


def test_an_informed_law_beats_the_majority_and_a_blind_one_does_not() -> None:
    right, blind = (
        verdict_score(verdicts(0, informed), "L3", seed=0) for informed in (True, False)
    )
    assert right.auroc > 0.98
    assert right.auroc_decided > 0.98
    assert right.p_value < 0.01
    assert right.low > right.majority_baseline
    assert abs(blind.auroc - 0.5) < 0.12
    assert blind.p_value > 0.05


def test_undetermined_branches_are_coverage_and_once_wrong() -> None:
    score = verdict_score(verdicts(0, True), "L3", seed=0)
    assert score.coverage == pytest.approx(0.9)
    assert score.accuracy is not None
    assert score.accuracy_undetermined_wrong == pytest.approx(score.accuracy * 0.9)
    assert score.confusion is not None
    assert sum(score.confusion.plain().values()) == score.decided == 144


def test_what_knows_no_edge_scores_at_chance() -> None:
    scores = baseline_scores(verdicts(0, True))
    assert scores["margin_only"].auroc == 0.5
    assert abs((scores["layer_only"].auroc or 0) - 0.5) < 0.2


def test_censored_edges_rank_beyond_every_ladder() -> None:
    assert margin_score(2.0, 1.0) == 1
    assert (
        margin_score(None, 2.4)
        > margin_score(5.0, 2.4)
        > 0
        > margin_score(None, None)
        > margin_score(0.3, None)
    )
    assert [stratum(score) for score in (-9.0, -0.5, 0.1, 3.0)] == [0, 1, 2, 3]


def test_strata_are_drawn_evenly_and_weights_give_the_pool_back() -> None:
    scores = [-3.0] * 50 + [-0.5] * 20 + [0.2] * 2 + [2.0] * 8
    drawn = stratified(scores, 14, seed=0)
    assert len({i for i, _ in drawn}) == 14
    assert sum(weight for _, weight in drawn) == pytest.approx(80)
    assert {2, 4} >= {sum(stratum(scores[i]) == place for i, _ in drawn) for place in range(4)}
    assert len(stratified([0.1, 0.2], 9, seed=0)) == 2


def test_a_universal_unit_has_no_spread_and_a_factor_shows_its_share() -> None:
    rows = [
        row.model_copy(update={"measured": 1.2, "budget": 2.0 + (i % 7)})
        for i, row in enumerate(ceilings())
    ]
    spreads = ceiling_spreads(rows)
    assert spreads["gain"].within_layer == pytest.approx(0, abs=1e-9)
    assert (spreads["activation"].within_model or 0) > 0.2
    pool = [pooled(f"b{i}", f"x{j}", 2.0**j) for i in range(5) for j in range(3)]
    shares = trigger_shares([*pool, pooled("alone", "x0", 9.0)])["m"]
    assert (shares.behavior, shares.branch, shares.n) == (
        pytest.approx(1),
        pytest.approx(0, abs=1e-9),
        15,
    )


def pooled(branch: str, behavior: str, trigger: float) -> PoolRow:
    """A branch of the pool with its forecast trigger."""
    return PoolRow(
        lineage="l",
        recipe="r",
        model="m",
        behavior=behavior,
        neuron=branch,
        branch=branch,
        trigger=trigger,
    )
