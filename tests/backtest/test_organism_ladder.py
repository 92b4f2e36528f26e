"""The organism ladder: a rank correlation with honest tails, in which an organism that never opened
still counts.
"""

import math
import random

import pytest
from scipy.stats import spearmanr

from fulcra.backtest.organism_ladder import Rung, organism_ladder, rung_of
from fulcra.errors import InputError

KS = (2, 3, 6, 24, 96, 384, None)


def rungs(gains: dict[int | None, list[float | None]]) -> list[Rung]:
    return [
        Rung(k, f"k{k}-{i}", gain, 24) for k, row in gains.items() for i, gain in enumerate(row)
    ]


def width(k: int | None) -> float:
    return math.inf if k is None else k


def test_gains_that_rise_with_k_correlate_fully_and_hardly_by_chance() -> None:
    found = organism_ladder(rungs({k: [0.3 + 0.1 * i] for i, k in enumerate(KS)}))
    assert found["rho"] == pytest.approx(1.0)
    assert found["p_value"] < 0.005
    assert found["high"] == pytest.approx(1.0)


def test_gains_that_fall_are_no_evidence_for_a_rise() -> None:
    found = organism_ladder(rungs({k: [0.9 - 0.1 * i] for i, k in enumerate(KS)}))
    assert found["rho"] == pytest.approx(-1.0)
    assert found["p_value"] == pytest.approx(1.0)


def test_rho_is_spearmans_with_all_weights_and_unopened_organisms_ranked_last() -> None:
    rng = random.Random(3)
    given = rungs({k: [rng.choice([0.3, 0.45, 0.65, 0.9, None]) for _ in range(3)] for k in KS})
    found = organism_ladder(given)
    oracle = spearmanr(
        [width(r.neurons) for r in given], [9.0 if r.gain is None else r.gain for r in given]
    ).statistic
    assert found["rho"] == pytest.approx(oracle)
    assert found["low"] <= found["rho"] <= found["high"]
    kept = [r for r in given if r.gain is not None]
    assert found["censored"] == len(given) - len(kept)
    without = spearmanr([width(r.neurons) for r in kept], [r.gain for r in kept]).statistic
    assert found["uncensored"]["rho"] == pytest.approx(without)
    assert found["uncensored"]["n"] == len(kept)


def test_unopened_organisms_at_large_k_are_evidence_and_not_missing() -> None:
    found = organism_ladder(
        rungs({2: [0.3, 0.3], 6: [0.3, 0.3], 96: [None, None], None: [None, None]})
    )
    assert found["rho"] > 0.85
    assert found["uncensored"]["rho"] is None  # what opened opened alike
    assert [row["opened"] for row in found["by_k"]] == [2, 2, 0, 0]
    assert [row["median"] for row in found["by_k"]] == [0.3, 0.3, None, None]


def test_a_ladder_of_chance_is_seldom_significant() -> None:
    rng = random.Random(0)
    values = [organism_ladder(rungs({k: [rng.random()] for k in KS}))["p_value"] for _ in range(20)]
    assert sum(value < 0.05 for value in values) <= 3
    assert 0.25 < sum(values) / 20 < 0.75


def test_the_order_of_the_organisms_does_not_matter() -> None:
    given = rungs({k: [0.3 + 0.1 * i, 0.5] for i, k in enumerate(KS)})
    one, other = organism_ladder(given), organism_ladder(given[::-1])
    assert one["rho"] == pytest.approx(other["rho"])
    assert one["organisms"] == other["organisms"]


@pytest.mark.parametrize(
    ("given", "said"),
    [({2: [0.3, 0.4]}, "2 organisms with 1"), ({3: [0.3] * 4}, "4 organisms with 1 different K")],
)
def test_a_ladder_of_one_rung_is_refused(
    given: dict[int | None, list[float | None]], said: str
) -> None:
    with pytest.raises(
        InputError,
        match=rf"organism_ladder\(\) got {said}.*: give at least three organisms and two K",
    ):
        organism_ladder(rungs(given))


def test_a_rung_is_read_from_an_audit() -> None:
    audit = {
        "summary": {"search": {"smallest_open_gain": 0.45, "neuron": "L1.N83-", "measured": 24}},
        "baseline": {"log_odds_margin": 8.9, "rate": 1.0},
    }
    assert rung_of(audit, 3, "three") == Rung(3, "three", 0.45, 24, 8.9, 1.0)
