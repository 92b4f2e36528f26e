"""Measured edges compared: a shift is a bias and no noise, censored edges are never averaged."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from fulcra.backtest.noise import (
    difference,
    edge_noise,
    measured_edges,
    noise_floor,
    split_half,
)
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.edge_error import alignment_errors
from fulcra.law.edges import measured_ceiling
from fulcra.protocol.results.validation import CeilingRow, Repeats
from fulcra.types import Edge, Neuron

GAINS = (0.25, 0.5, 1.0, 2.0)
BRANCHES = [Coordinate(Neuron(layer, layer), 10.0, 0.0) for layer in range(6)]


def lost_from(rung: int, prompts: int = 16) -> NDArray[np.bool_]:
    """Coherence lost on all prompts from a rung on."""
    return np.repeat(np.arange(len(GAINS))[:, None] >= rung, prompts, axis=1)


def at_gains(gains: list[float | None]) -> list[Edge]:
    return [at.edge(gain, "measured", 4) for at, gain in zip(BRANCHES, gains, strict=True)]


def test_a_measured_edge_is_the_measured_ceiling() -> None:
    rng = np.random.default_rng(0)
    happened = [
        rng.random((len(GAINS), 16)) < np.linspace(0.1, 0.9, len(GAINS))[:, None] for _ in BRANCHES
    ]
    for at, rows, edge in zip(
        BRANCHES, happened, measured_edges(BRANCHES, GAINS, happened), strict=True
    ):
        assert (edge.gain, edge.alignment) == (
            measured_ceiling(at, GAINS, ~rows).gain,
            measured_ceiling(at, GAINS, ~rows).alignment,
        )


def test_rungs_beyond_a_cap_have_no_row_and_an_edge_there_is_censored() -> None:
    (capped,) = measured_edges(BRANCHES[:1], GAINS, [lost_from(2)[:2]])
    assert capped.censored


def test_the_same_measurement_twice_has_no_noise_and_no_difference() -> None:
    edges = at_gains([0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert edge_noise(BRANCHES, edges, edges).cos.plain() == {
        "sd": 0.0,
        "floor": 0.0,
        "low": 0.0,
        "high": 0.0,
    }
    same = difference(BRANCHES, edges, edges)
    assert same.mae_cos.value == same.bias_log2 == 0.0
    assert same.correlation == pytest.approx(1.0)


def test_twice_the_gain_is_one_doubling_of_bias() -> None:
    first = at_gains([0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    second = at_gains([0.6, 0.8, 1.0, 1.2, 1.4, 1.6])
    assert difference(BRANCHES, first, second).bias_log2 == pytest.approx(1.0)
    assert difference(BRANCHES, second, first).bias_log2 == pytest.approx(-1.0)
    assert edge_noise(BRANCHES, first, second).log2.floor == pytest.approx(1 / math.sqrt(2))


def test_censored_edges_are_counted_and_left_out() -> None:
    apart = difference(
        BRANCHES,
        at_gains([0.3, 0.4, None, None, 0.5, 0.6]),
        at_gains([0.3, None, 0.4, None, 0.5, 0.6]),
    )
    assert (apart.n, apart.one_censored, apart.both_censored) == (3, 2, 1)
    assert apart.mae_cos.value == 0.0


def test_edges_all_censored_have_no_figure() -> None:
    nothing = at_gains([None] * 6)
    apart = difference(BRANCHES, nothing, nothing)
    assert (apart.n, apart.both_censored) == (0, 6)
    assert apart.mae_cos.plain() == {"value": None, "low": None, "high": None, "n": 0}
    assert apart.bias_cos is apart.correlation is None


def test_halves_are_every_second_prompt() -> None:
    even_late = lost_from(3)
    even_late[:, 1::2] = lost_from(1, 8)
    halves = split_half(BRANCHES, GAINS, [even_late] * 6)
    early, late = (
        measured_edges(BRANCHES[:1], GAINS, [lost_from(rung)])[0].gain or 0 for rung in (1, 3)
    )
    assert halves.log2.floor == pytest.approx((math.log2(late) - math.log2(early)) / math.sqrt(2))


def test_both_poles_of_a_neuron_are_one_cluster() -> None:
    poles = [Coordinate(Neuron(0, 0, pole), 10.0, 0.0) for pole in (1, -1)]
    edges = [at.edge(gain, "measured", 4) for at, gain in zip(poles, (0.3, 0.6), strict=True)]
    twice = edge_noise(poles, edges, edges[::-1])
    assert twice.n == 2
    assert twice.cos.low is None  # one neuron tells nothing of others


def repeated(measured: float, repeats: Repeats | None) -> CeilingRow:
    """A ceiling with its second measurements, and nothing else."""
    return CeilingRow.model_construct(measured=measured, repeats=repeats)


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
