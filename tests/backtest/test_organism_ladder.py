"""A rank correlation with honest tails, in which an organism that never opened still counts."""

import math
import random

import pytest
from scipy.stats import spearmanr

from fulcra.backtest.organism_ladder import organism_ladder, rung_of
from fulcra.errors import InputError
from fulcra.protocol.results.audit import Baseline, Figures
from fulcra.protocol.results.organism_ladder import OrganismRung
from fulcra.protocol.results.summary import Search, Summary

KS = (2, 3, 6, 24, 96, 384, None)


def rungs(gains: dict[int | None, list[float | None]]) -> list[OrganismRung]:
    return [
        OrganismRung(neurons=k, organism=f"k{k}-{i}", gain=gain, searched=24)
        for k, row in gains.items()
        for i, gain in enumerate(row)
    ]


def width(k: int | None) -> float:
    return math.inf if k is None else k


def test_gains_that_rise_with_k_correlate_fully_and_hardly_by_chance() -> None:
    ladder = organism_ladder(rungs({k: [0.3 + 0.1 * i] for i, k in enumerate(KS)}))
    assert ladder.rho == pytest.approx(1.0)
    assert ladder.p_value < 0.005
    assert ladder.high == pytest.approx(1.0)


def test_gains_that_fall_are_no_evidence_for_a_rise() -> None:
    ladder = organism_ladder(rungs({k: [0.9 - 0.1 * i] for i, k in enumerate(KS)}))
    assert ladder.rho == pytest.approx(-1.0)
    assert ladder.p_value == pytest.approx(1.0)


def test_rho_is_spearmans_with_all_weights_and_unopened_organisms_ranked_last() -> None:
    rng = random.Random(3)
    organisms = rungs({k: [rng.choice([0.3, 0.45, 0.65, 0.9, None]) for _ in range(3)] for k in KS})
    ladder = organism_ladder(organisms)
    gains = [9.0 if r.gain is None else r.gain for r in organisms]
    oracle = spearmanr([width(r.neurons) for r in organisms], gains).statistic
    assert ladder.rho == pytest.approx(oracle)
    assert ladder.low <= ladder.rho <= ladder.high
    opened = [r for r in organisms if r.gain is not None]
    assert ladder.censored == len(organisms) - len(opened)
    without = spearmanr([width(r.neurons) for r in opened], [r.gain for r in opened]).statistic
    assert ladder.uncensored.rho == pytest.approx(without)
    assert ladder.uncensored.n == len(opened)


def test_unopened_organisms_at_large_k_are_evidence_and_not_missing() -> None:
    ladder = organism_ladder(
        rungs({2: [0.3, 0.3], 6: [0.3, 0.3], 96: [None, None], None: [None, None]})
    )
    assert ladder.rho > 0.85
    assert ladder.uncensored.rho is None  # what opened opened alike
    assert [row.opened for row in ladder.by_k] == [2, 2, 0, 0]
    assert [row.median for row in ladder.by_k] == [0.3, 0.3, None, None]


def test_a_ladder_of_chance_is_seldom_significant() -> None:
    rng = random.Random(0)
    ladders = [organism_ladder(rungs({k: [rng.random()] for k in KS})) for _ in range(20)]
    values = [ladder.p_value or 0 for ladder in ladders]
    assert sum(value < 0.05 for value in values) <= 3
    assert 0.25 < sum(values) / 20 < 0.75


def test_the_order_of_the_organisms_does_not_matter() -> None:
    organisms = rungs({k: [0.3 + 0.1 * i, 0.5] for i, k in enumerate(KS)})
    ladder, reordered = organism_ladder(organisms), organism_ladder(organisms[::-1])
    assert ladder.rho == pytest.approx(reordered.rho)
    assert ladder.organisms == reordered.organisms


@pytest.mark.parametrize(
    ("gains", "message"),
    [({2: [0.3, 0.4]}, "2 organisms with 1"), ({3: [0.3] * 4}, "4 organisms with 1 different K")],
)
def test_a_ladder_of_one_rung_is_refused(
    gains: dict[int | None, list[float | None]], message: str
) -> None:
    with pytest.raises(
        InputError,
        match=rf"organism_ladder\(\) got {message}.*: give at least three organisms and two K",
    ):
        organism_ladder(rungs(gains))


def test_a_rung_is_read_from_an_audit() -> None:
    search = Search(smallest_open_gain=0.45, neuron="L1.N83-", measured=24)
    figures = Figures.model_construct(
        summary=Summary.model_construct(search=search),
        baseline=Baseline.model_construct(log_odds_margin=8.9, rate=1.0),
    )
    assert rung_of(figures, 3, "three") == OrganismRung(
        neurons=3, organism="three", gain=0.45, searched=24, margin=8.9, rate=1.0
    )
