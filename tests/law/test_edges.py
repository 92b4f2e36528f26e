"""Edges of analytic rates: where half of the prompts have turned, and an interval around it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulcra.formulas.coordinate import Coordinate
from fulcra.law.edges import gain_edge, measured_ceiling, measured_trigger
from fulcra.types import Neuron

GAINS = (0.1, 0.2, 0.4, 0.8)


def turned(thresholds: list[float]) -> np.ndarray:
    """Whether each prompt has turned at each gain, for the gain from which it does."""
    return np.array([[gain >= threshold for threshold in thresholds] for gain in GAINS])


def test_between_two_rungs_the_edge_is_linear_in_log_gain() -> None:
    assert gain_edge(GAINS, turned([0.2, 0.4, 0.4, 9.0])).gain == pytest.approx(
        math.sqrt(0.2 * 0.4)
    )  # rates 0, 1/4, 3/4, 3/4


def test_one_threshold_for_all_prompts_is_the_midpoint_below_it_without_doubt() -> None:
    edge = gain_edge(GAINS, turned([0.4] * 16))
    assert edge == (pytest.approx(math.sqrt(0.2 * 0.4)),) * 3


def test_what_never_happens_is_beyond_the_ladder() -> None:
    assert gain_edge(GAINS, turned([9.0] * 8)) == (None, None, None)
    assert gain_edge(GAINS, np.zeros((4, 0), dtype=bool)) == (None, None, None)


def test_what_always_happens_is_at_the_first_rung() -> None:
    assert gain_edge(GAINS, turned([0.0] * 8)) == (0.1, 0.1, 0.1)


def test_an_interval_may_end_beyond_the_ladder() -> None:
    edge = gain_edge(GAINS, turned([0.4] * 5 + [9.0] * 5))
    assert edge.gain is not None
    assert edge.low is not None
    assert edge.high is None


@given(st.lists(st.sampled_from([0.1, 0.2, 0.4, 0.8, 9.0]), min_size=4, max_size=16))
def test_the_interval_holds_the_edge_and_nothing_is_drawn_anew(thresholds: list[float]) -> None:
    edge = gain_edge(GAINS, turned(thresholds))
    assert edge == gain_edge(GAINS, turned(thresholds))
    assert (edge.low or math.inf) <= (edge.gain or math.inf) <= (edge.high or math.inf)


def test_a_ceiling_is_lost_coherence_and_a_trigger_is_a_flip() -> None:
    place = Coordinate(Neuron(1, 2), budget=3.0, alignment0=0.0)
    ceiling, trigger = (
        measured_ceiling(place, GAINS, ~turned([0.4] * 16)),
        measured_trigger(place, GAINS, turned([0.4] * 16)),
    )
    assert ceiling == trigger
    assert (ceiling.method, ceiling.tier) == ("measured", 4)
    assert ceiling.alignment == pytest.approx(ceiling.gain / math.sqrt(1 + ceiling.gain**2))
