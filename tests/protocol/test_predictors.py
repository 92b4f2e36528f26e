"""Every predictor gives an edge a branch, with its own name and tier, in the order asked for."""

import math
from itertools import pairwise

import pytest

from fulcra.engines.generic import continue_openings
from fulcra.errors import Inconclusive, InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.geometry import participation_ratio
from fulcra.judges.coherence import CoherenceStandard
from fulcra.ladders.curvature import curvatures
from fulcra.models import Model
from fulcra.models.capture import stream
from fulcra.models.tiny import tiny
from fulcra.protocol.predictors import (
    CEILINGS,
    FAMILY_CONSTANTS,
    ROLLED,
    Calibration,
    layer_median,
    recalibration,
)
from fulcra.protocol.subject import Ground
from fulcra.types import Neuron

OTHERS = (Calibration(0, 0.5, 1.0), Calibration(0, 0.7, 1.4), Calibration(1, 2.0, 4.0))


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny("llama")


@pytest.fixture(scope="module")
def ground(model: Model) -> Ground:
    text = continue_openings(model, ["w5 w6 w7", "w9 w10", "w30"], seed=0, tokens=6)
    clean = stream(model, text.prompts, text.replies)
    return Ground(model, text, clean, model, CoherenceStandard(4, 0.5, 4.6))


@pytest.fixture(scope="module")
def branches(ground: Ground) -> list[Coordinate]:
    return [ground.coordinate(Neuron(layer, 5, pole)) for layer in range(3) for pole in (1, -1)]


def test_every_predictor_signs_its_edges(ground: Ground, branches: list[Coordinate]) -> None:
    for predictor in CEILINGS:
        edges = predictor.edges(ground, branches)
        assert {(edge.method, edge.tier) for edge in edges} == {(predictor.name, predictor.tier)}
        assert all(
            edge.gain is None or edge.alignment == place.alignment(edge.gain)
            for place, edge in zip(branches, edges, strict=True)
        )
        again = [edge.gain for edge in predictor.edges(ground, branches[::-1])][::-1]
        assert again == [edge.gain and pytest.approx(edge.gain, rel=1e-4) for edge in edges]
    tiers = [predictor.tier for predictor in CEILINGS]
    assert all(low <= high for low, high in pairwise(tiers))


def test_what_rolls_the_branch_out_stands_apart(ground: Ground, branches: list[Coordinate]) -> None:
    assert {predictor.tier for predictor in ROLLED} == {4}
    assert not {predictor.name for predictor in ROLLED} & {predictor.name for predictor in CEILINGS}
    for predictor in ROLLED:
        edges = predictor.edges(ground, branches)
        assert {(edge.method, edge.tier) for edge in edges} == {(predictor.name, 4)}
        again = predictor.edges(ground, branches[::-1])[::-1]
        assert [edge.gain for edge in again] == [
            edge.gain and pytest.approx(edge.gain, rel=1e-4) for edge in edges
        ]


def test_constants_are_those_of_paper_a(ground: Ground, branches: list[Coordinate]) -> None:
    constants = {edge.gain for edge in CEILINGS[0].edges(ground, branches)}
    assert constants == {FAMILY_CONSTANTS["llama"]} == {1.46}
    ratio = participation_ratio(ground.stream.sample[0])
    assert CEILINGS[1].edges(ground, branches[:1])[0].gain == pytest.approx(
        math.sqrt(ground.model.d_model / ratio - 1) / 2
    )


def test_second_order_puts_the_ladders_level_on_a_parabola(
    model: Model, ground: Ground, branches: list[Coordinate]
) -> None:
    edges = CEILINGS[2].edges(ground, branches)
    values = curvatures(model, branches, ground.stream, ground.text)
    for edge, curvature in zip(edges, values, strict=True):
        assert edge.gain is not None
        assert curvature * edge.gain**2 / 2 == pytest.approx(0.8)
    assert edges[0].gain == edges[1].gain  # the poles are alike


def test_an_expert_has_no_second_order_forecast() -> None:
    mixture = tiny("qwen3_moe")
    text = continue_openings(mixture, ["w5 w6 w7", "w9 w10"], seed=0, tokens=6)
    clean = stream(mixture, text.prompts, text.replies)
    ground = Ground(mixture, text, clean, mixture, CoherenceStandard(4, 0.5, 4.6))
    expert = ground.coordinate(Neuron(0, 5, 1, expert=1))
    for predictor in CEILINGS:
        (edge,) = predictor.edges(ground, [expert])
        assert (edge.method, edge.tier) == (predictor.name, predictor.tier)
        assert predictor.name != "second_order_kl" or edge.gain is None
    with pytest.raises(InputError, match="an expert acts on routed tokens alone"):
        curvatures(mixture, [expert], clean, text)


def test_calibration_is_a_median_by_layer_and_one_factor() -> None:
    assert (layer_median(OTHERS, 0), layer_median(OTHERS, 1), layer_median(OTHERS, 2)) == (
        pytest.approx(0.6),
        2.0,
        0.7,
    )
    assert recalibration(OTHERS) == pytest.approx(0.5)
    assert recalibration(()) == 1


def test_without_calibration_no_median_is_given() -> None:
    with pytest.raises(Inconclusive, match="no other branch was measured"):
        layer_median((), 0)
