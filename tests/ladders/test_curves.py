"""Whole curves are what the ladders measure, rung by rung, and their edges are the ladders' own."""

import pytest
import torch

from fulcra import Behavior, Model
from fulcra.engines.generic import GenericText, continue_openings
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import crossing
from fulcra.ladders import flip_ladder, kl_ladder, trigger_ladder
from fulcra.ladders.curves import (
    Rungs,
    divergence_curves,
    odds_curves,
    reply_curves,
    reply_shares,
)
from fulcra.ladders.flip_ladder import EXCESS, flipped_text
from fulcra.ladders.kl_ladder import LEVEL, edit_divergences, edit_quantiles
from fulcra.ladders.trigger_ladder import Openings
from fulcra.models.capture import stream
from fulcra.models.coordinate import coordinate
from fulcra.types import Neuron

GAINS = (0.2, 0.45, 0.9, 1.7)
SURPRISE = 4.0


@pytest.fixture(scope="module")
def text(sparse: Model, refusal: Behavior) -> GenericText:
    return continue_openings(sparse, refusal.generic, seed=0, tokens=10).first(3)


@pytest.fixture(scope="module")
def branches(sparse: Model, text: GenericText) -> list[Coordinate]:
    clean = stream(sparse, text.prompts, text.replies)
    return [coordinate(sparse, clean, Neuron.parse(n)) for n in ("L2.N307-", "L1.N245+", "L6.N3-")]


@pytest.fixture(scope="module")
def rungs(branches: list[Coordinate]) -> Rungs:
    return Rungs.of(branches, GAINS)


def test_the_first_crossing_of_the_odds_is_the_forecast_trigger(
    sparse: Model, refusal: Behavior, branches: list[Coordinate], rungs: Rungs
) -> None:
    openings = Openings.of(sparse, refusal.selection[:2])
    odds = odds_curves(sparse, openings, rungs)
    assert odds.shape == (3, 4, 2)
    for row, edge in zip(odds, trigger_ladder(sparse, branches, openings, GAINS), strict=True):
        assert crossing(GAINS, row.mean(-1).tolist(), 0.0) == pytest.approx(edge.gain)


def test_the_crossing_of_the_divergence_is_the_forecast_ceiling(
    sparse: Model, text: GenericText, branches: list[Coordinate], rungs: Rungs
) -> None:
    nats = divergence_curves(sparse, text, rungs)
    for row, edge in zip(nats, kl_ladder(sparse, branches, text, GAINS), strict=True):
        assert crossing(GAINS, row[:, 0].tolist(), LEVEL) == pytest.approx(edge.gain, rel=1e-4)


def test_mean_and_tail_are_those_of_one_dose_at_a_time(
    sparse: Model, text: GenericText, branches: list[Coordinate], rungs: Rungs
) -> None:
    nats, doses = divergence_curves(sparse, text, rungs), [branches[1].dose(gain) for gain in GAINS]
    torch.testing.assert_close(nats[1, :, 0], edit_divergences(sparse, doses, text))
    tail = edit_quantiles(sparse, doses, text, 0.95)
    assert nats[1, :, 1].tolist() == pytest.approx(tail.tolist(), rel=1e-3)


def test_the_crossing_on_flipped_replies_is_that_of_the_flip_ladder(
    sparse: Model, refusal: Behavior, branches: list[Coordinate], rungs: Rungs
) -> None:
    replies = flipped_text(sparse, refusal.selection[:2], None, 12)
    shares = reply_curves(sparse, replies, SURPRISE, sparse, rungs)
    assert shares.shape == (3, 4)
    undosed = float(reply_shares(sparse, replies, SURPRISE, sparse, [None])[0])
    edges = flip_ladder(sparse, branches, replies, SURPRISE, sparse, GAINS)
    for row, edge in zip(shares - undosed, edges, strict=True):
        assert crossing(GAINS, row.tolist(), EXCESS) == pytest.approx(edge.gain, rel=1e-3)


def test_only_rungs_of_small_cost_are_looked_at(rungs: Rungs) -> None:
    costs = torch.tensor([[0.1, 0.2, 5.0, 9.0], [0.1, 9.0, 0.1, torch.nan], [9.0] * 4])
    below = rungs.below(costs, 1.0)
    assert list(zip(below.branch, below.rung, strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 2)]
    assert below.laid_out(torch.ones(4)).isfinite().sum(-1).tolist() == [2, 2, 0]


def test_a_rung_beyond_a_cap_holds_no_number(branches: list[Coordinate]) -> None:
    rungs = Rungs.of(branches, GAINS)
    capped = Rungs(rungs.doses[:2], rungs.branch[:2], rungs.rung[:2], rungs.shape)
    curve = capped.laid_out(torch.tensor([[1.0], [2.0]]))
    assert curve[0, :2, 0].tolist() == [1.0, 2.0]
    assert curve[1:].isnan().all()
