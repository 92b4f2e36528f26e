"""Every predictor keeps one interface: an edge a branch, with its own name and tier, in the order
asked for.
"""

import math
from itertools import pairwise

import pytest

from fulcra.engines.generic import continue_openings
from fulcra.errors import Inconclusive
from fulcra.formulas.geometry import participation_ratio
from fulcra.judges.coherence import CoherenceStandard
from fulcra.ladders import kl_ladder
from fulcra.ladders.curvature import curvatures
from fulcra.models import Model
from fulcra.models.capture import stream
from fulcra.models.coordinate import Coordinate, coordinate
from fulcra.models.tiny import tiny
from fulcra.types import Neuron
from fulcra.window.predictors import (
    CALIBRATED,
    CEILINGS,
    FAMILY_CONSTANTS,
    TRIGGERS,
    Calibration,
    Seen,
    layer_median,
    recalibration,
)

OTHERS = (Calibration(0, 0.5, 1.0), Calibration(0, 0.7, 1.4), Calibration(1, 2.0, 4.0))


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny("llama")


@pytest.fixture(scope="module")
def seen(model: Model) -> Seen:
    text = continue_openings(model, ["w5 w6 w7", "w9 w10", "w30"], seed=0, tokens=6)
    return Seen(
        text,
        stream(model, text.prompts, text.replies),
        CoherenceStandard(4, 0.5, 4.6),
        others=OTHERS,
    )


@pytest.fixture(scope="module")
def branches(model: Model, seen: Seen) -> list[Coordinate]:
    return [
        coordinate(model, seen.clean, Neuron(layer, 5, pole))
        for layer in range(3)
        for pole in (1, -1)
    ]


def test_every_predictor_signs_its_edges(
    model: Model, seen: Seen, branches: list[Coordinate]
) -> None:
    for predictor in (*CEILINGS, *CALIBRATED):
        found = predictor(model, branches, seen)
        assert {(edge.method, edge.tier) for edge in found} == {(predictor.name, predictor.tier)}
        assert all(
            edge.gain is None or edge.alignment == at.alignment(edge.gain)
            for at, edge in zip(branches, found, strict=True)
        )
        again = [edge.gain for edge in predictor(model, branches[::-1], seen)][::-1]
        assert again == [edge.gain and pytest.approx(edge.gain, rel=1e-4) for edge in found]
    tiers = [predictor.tier for predictor in CEILINGS]
    assert all(low <= high for low, high in pairwise(tiers))


def test_constants_are_those_of_paper_a(
    model: Model, seen: Seen, branches: list[Coordinate]
) -> None:
    assert (
        {edge.gain for edge in CEILINGS[0](model, branches, seen)}
        == {FAMILY_CONSTANTS["llama"]}
        == {1.46}
    )
    ratio = participation_ratio(seen.clean.sample[0])
    assert CEILINGS[1](model, branches[:1], seen)[0].gain == pytest.approx(
        math.sqrt(model.d_model / ratio - 1) / 2
    )


def test_second_order_puts_the_ladders_level_on_a_parabola(
    model: Model, seen: Seen, branches: list[Coordinate]
) -> None:
    found = CEILINGS[2](model, branches, seen)
    for edge, curvature in zip(
        found, curvatures(model, branches, seen.clean, seen.text), strict=True
    ):
        assert edge.gain is not None
        assert curvature * edge.gain**2 / 2 == pytest.approx(0.8)
    assert found[0].gain == found[1].gain  # the poles are alike


def test_calibration_is_a_median_by_layer_and_one_factor(
    model: Model, seen: Seen, branches: list[Coordinate]
) -> None:
    assert (layer_median(OTHERS, 0), layer_median(OTHERS, 1), layer_median(OTHERS, 2)) == (
        pytest.approx(0.6),
        2.0,
        0.7,
    )
    assert recalibration(OTHERS) == pytest.approx(0.5)
    assert recalibration(()) == 1
    forecast = kl_ladder(model, branches, seen.text)
    shifted = CALIBRATED[1](model, branches, seen)
    assert [edge.gain for edge in shifted] == [
        edge.gain and pytest.approx(edge.gain / 2) for edge in forecast
    ]


def test_what_cannot_be_predicted_is_refused(
    model: Model, seen: Seen, branches: list[Coordinate]
) -> None:
    with pytest.raises(Inconclusive, match="no openings"):
        TRIGGERS[0](model, branches, seen)
    with pytest.raises(Inconclusive, match="no other branch was measured"):
        layer_median((), 0)
