"""What is read of a dose, against independent counts; and the ladder of the model's own text."""

from itertools import product
from math import prod

import numpy as np
import pytest

from fulcra.backtest.ladder_curves import Statistics
from fulcra.backtest.own_statistics import OwnStatistics
from fulcra.backtest.text_statistics import GivenText, chance_above, compounded
from fulcra.engines.engine import run
from fulcra.engines.generic import TEMPERATURE, continue_openings
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import crossing
from fulcra.judges.coherence import CoherenceStandard
from fulcra.ladders.kl_ladder import CEILING_GAINS, edit_divergences, edit_quantiles
from fulcra.ladders.own_text_ladder import SEED, OwnText, own_text_ladder
from fulcra.ladders.surprise_ladder import surprised_shares
from fulcra.ladders.surprises import surprises
from fulcra.models.capture import stream
from fulcra.models.tiny import tiny
from fulcra.protocol.subject import Ground
from fulcra.types import Neuron, RolloutRequest, Sampling

LEVEL = 4.6


@pytest.fixture(scope="module")
def ground() -> Ground:
    model = tiny("llama")
    text = continue_openings(model, ["w5 w6 w7", "w9 w10", "w30"], seed=0, tokens=6)
    clean = stream(model, text.prompts, text.replies)
    return Ground(model, text, clean, model, CoherenceStandard(4, 0.5, LEVEL))


@pytest.fixture(scope="module")
def place(ground: Ground) -> Coordinate:
    return ground.coordinate(Neuron(1, 5))


def test_statistics_of_given_text_are_those_of_the_ladders(
    ground: Ground, place: Coordinate
) -> None:
    doses = [place.dose(gain) for gain in (0.3, 2.6)]
    rows = GivenText.of(ground).statistics(doses)
    model, text = ground.model, ground.text
    shipped = {
        "kl_mean": edit_divergences(model, doses, text),
        "kl_q95": edit_quantiles(model, doses, text, 0.95),
        "odd_unscaled": surprised_shares(model, doses, text, LEVEL),
    }
    for name, values in shipped.items():
        assert [row[name] for row in rows] == pytest.approx(values.tolist(), rel=1e-3, abs=1e-5)
    assert all(row["odd"] == row["odd_judged"] for row in rows)  # the model is its own reference


def test_a_chance_above_a_share_is_that_of_all_outcomes() -> None:
    chances = np.array([[0.2, 0.7, 0.5, 0.1], [0.9, 0.3, np.nan, np.nan]])
    exact = []
    for row in ([0.2, 0.7, 0.5, 0.1], [0.9, 0.3]):
        total = 0.0
        for outcome in product((0, 1), repeat=len(row)):
            if sum(outcome) > 0.3 * len(row):
                total += prod(p if o else 1 - p for p, o in zip(row, outcome, strict=True))
        exact.append(total)
    assert chance_above(chances, 0.3) == pytest.approx(np.mean(exact))
    none = [0.8 * 0.3 * 0.5 * 0.9, 0.1 * 0.7]
    assert compounded(chances) == pytest.approx(1 - np.mean(none))


def test_the_share_of_own_text_is_a_count_over_rollouts(ground: Ground, place: Coordinate) -> None:
    own = OwnText(ground.model, ground.text.prompts, ground.model, LEVEL)
    dose = (place.dose(1.9),)
    shares = []
    for i, prompt in enumerate(own.openings):
        sampling = Sampling(TEMPERATURE, SEED).of_row(i)
        tokens = run(ground.model, [RolloutRequest(prompt, dose, 8, sampling)])[0].tokens
        nats = surprises(ground.model, [(prompt, tokens)])[0]
        shares.append(np.mean([value > LEVEL for value in nats]))
    assert own.odd_shares([dose]).tolist() == [pytest.approx(np.mean(shares))]
    statistics = OwnStatistics(ground, None).statistics([dose])[0]
    assert statistics["own_odd_8"] == pytest.approx(np.mean(shares))


def test_the_ladder_of_own_text_finds_the_rung_and_says_that_it_rolls_out(
    ground: Ground,
) -> None:
    branches = [ground.coordinate(Neuron(layer, 5, pole)) for layer in range(3) for pole in (1, -1)]
    own = OwnText(ground.model, ground.text.prompts, ground.model, LEVEL)
    edges = own_text_ladder(own, branches)
    assert {(edge.method, edge.tier) for edge in edges} == {("own_text_ladder", 4)}
    for place, edge in zip(branches, edges, strict=True):
        shares = own.odd_shares([(place.dose(gain),) for gain in CEILING_GAINS]).tolist()
        rising = np.maximum.accumulate(shares).tolist() == shares
        if rising:
            assert edge.gain == pytest.approx(crossing(CEILING_GAINS, shares, 0.30))
    none = OwnText(ground.model, ground.text.prompts, ground.model, 1e9)
    assert [edge.gain for edge in own_text_ladder(none, branches[:1])] == [None]


def test_own_text_ends_two_rungs_after_coherence_and_given_text_does_not(
    ground: Ground, place: Coordinate
) -> None:
    lost = Ground(
        ground.model, ground.text, ground.stream, ground.model, CoherenceStandard(4, 0.5, -1.0)
    )
    statistics = Statistics(GivenText.of(lost), OwnStatistics(lost, None))
    curves = statistics.curves([place])[0].curves
    assert len(curves["kl_mean"]) == len(CEILING_GAINS)
    assert curves["lost_32"] == (1.0, 1.0)
    assert statistics.undosed()["kl_mean"] == pytest.approx(0, abs=1e-5)
