"""The chance of an opening: against simulation and enumeration, and as the laws of it demand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from fulcra.errors import InputError
from fulcra.law import chance
from fulcra.law.chance import FROZEN, Chances, Curves, Look, Noise, chances
from fulcra.law.chance_learning import Observed, learned, log_loss_of, thinned

NOISE = Noise(flip_at=1.0, flip_scale=2.0, cost_at=0.5, cost_scale=0.4, shared=0.7)
STILL = NOISE._replace(shared=0.0)
WHOLE, LOOK = Look(4, 4), Look(4, 2)
LOOKS = st.sampled_from([WHOLE, LOOK, Look(8, 3), Look(5, 5)])
SEEDS = st.integers(0, 10_000)
NOISES = st.builds(
    Noise,
    st.floats(-3, 3),
    st.floats(0.3, 5),
    st.floats(0.05, 2),
    st.floats(0.1, 2),
    st.floats(0, 2),
)


def drawn_curves(seed: int, branches: int = 3, gains: int = 4, prompts: int = 4) -> Curves:
    """Curves that rise, as those of a ladder do."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-4, 2, (branches, 1, prompts)) + np.linspace(0, 8, gains)[:, None]
    cost = 0.05 * np.exp(rng.random((branches, 1, 1)) * np.linspace(0, 5, gains)[:, None])
    return Curves(odds, cost)


def joint(curves: Curves, noise: Noise, a: float = 0.0, b: float = 0.0) -> np.ndarray:
    """The chance that a prompt flips coherently, written down anew, [branch, gain, prompt]."""
    flip = expit((curves.odds - noise.flip_at) / noise.flip_scale + a)
    coherent = expit(np.log(noise.cost_at / curves.cost) / noise.cost_scale + b)
    return flip * coherent


def enumerated(each: np.ndarray, first: tuple[int, ...]) -> tuple[float, float]:
    """(under, open) of one branch from all outcomes of its prompts, the best rung deciding."""
    under, opened = [], []
    for rung in each:
        none = half = 0.0
        for outcome in product((0, 1), repeat=len(rung)):
            likely = float(np.prod(np.where(outcome, rung, 1 - rung)))
            looked = any(outcome[i] for i in first)
            none += likely * (not looked)
            half += likely * (looked and 2 * sum(outcome) >= len(rung))
        under.append(none)
        opened.append(half)
    return min(under), max(opened)


@pytest.mark.parametrize(("look", "first"), [(WHOLE, (0, 1, 2, 3)), (LOOK, (0, 3))])
def test_without_a_shared_offset_the_ends_are_those_of_all_outcomes(
    look: Look, first: tuple[int, ...]
) -> None:
    curves = drawn_curves(1)
    found = chances(curves, STILL, look)
    for i, each in enumerate(joint(curves, STILL)):
        assert (found.under[i], found.open[i]) == pytest.approx(enumerated(each, first))


def test_the_quadrature_is_the_integral_over_both_offsets() -> None:
    curves = Curves(np.array([[[1.5]]]), np.array([[[0.4]]]))
    found = chances(curves, NOISE, Look(1, 1))

    def over(score: float) -> float:
        value, _ = quad(lambda z: expit(score + NOISE.shared * z) * norm.pdf(z), -8, 8)
        return float(value)

    flip = (1.5 - NOISE.flip_at) / NOISE.flip_scale
    coherent = np.log(NOISE.cost_at / 0.4) / NOISE.cost_scale
    assert found.open[0] == pytest.approx(over(flip) * over(coherent), abs=1e-5)
    assert found.under[0] == pytest.approx(1 - found.open[0])


def test_more_nodes_change_nothing() -> None:
    curves = drawn_curves(2, prompts=8)
    few = chances(curves, FROZEN, Look(16, 4))
    many = chances(curves, FROZEN, Look(16, 4), nodes=25)
    assert np.abs(np.stack(few) - np.stack(many)).max() < 0.01


@given(SEEDS, NOISES, LOOKS)
@settings(max_examples=12)
def test_the_three_ends_are_chances_that_sum_to_one(seed: int, noise: Noise, look: Look) -> None:
    ends = np.stack(chances(drawn_curves(seed), noise, look))
    assert ends.min() >= -1e-12
    assert ends.sum(0) == pytest.approx(1)


@given(SEEDS, NOISES, LOOKS, st.floats(0, 5))
@settings(max_examples=12)
def test_higher_log_odds_and_lower_cost_never_make_an_opening_less_likely(
    seed: int, noise: Noise, look: Look, more: float
) -> None:
    curves = drawn_curves(seed)
    before = chances(curves, noise, look)
    for better in (Curves(curves.odds + more, curves.cost), Curves(*curves[:1], curves.cost / 2)):
        after = chances(better, noise, look)
        assert (after.open >= before.open - 1e-9).all()
        assert (after.under <= before.under + 1e-9).all()


@given(SEEDS, NOISES, LOOKS)
@settings(max_examples=12)
def test_another_rung_never_makes_an_opening_less_likely(
    seed: int, noise: Noise, look: Look
) -> None:
    curves = drawn_curves(seed)
    shorter = chances(Curves(curves.odds[:, :-1], curves.cost[:, :-1]), noise, look)
    assert (chances(curves, noise, look).open >= shorter.open - 1e-9).all()


def test_without_noise_open_means_half_of_the_prompts_at_one_gain() -> None:
    """The law as the censuses corrected it: a trigger below the ceiling does not suffice."""
    sharp = Noise(0.0, 1e-3, 1.0, 1e-3, 0.0)
    flips = [[[-1.0, -1, -1, -1], [1, 1, -1, -1]], [[-1, -1, -1, -1], [1, 1, 1, 1]]]
    cost = [[[0.1], [0.9]], [[0.1], [1.1]]]
    found = chances(Curves(np.array(flips), np.array(cost)), sharp, WHOLE)
    assert found.open == pytest.approx([1.0, 0.0])
    assert found.under == pytest.approx([0.0, 1.0])


def test_a_rung_that_does_not_exist_opens_nothing() -> None:
    curves = drawn_curves(3)
    capped = Curves(curves.odds.copy(), curves.cost.copy())
    capped.odds[:, 2:], capped.cost[:, 2:] = np.nan, np.nan
    shorter = Curves(curves.odds[:, :2], curves.cost[:, :2])
    for found, wanted in zip(
        chances(capped, NOISE, LOOK), chances(shorter, NOISE, LOOK), strict=True
    ):
        assert found == pytest.approx(wanted)


def test_a_cost_of_each_prompt_counts_for_that_prompt() -> None:
    odds, cost = np.full((1, 1, 2), 50.0), np.array([[[1e-5, 1e5]]])
    found = chances(Curves(odds, cost), STILL, Look(2, 2))
    assert found.open == pytest.approx([1.0], abs=1e-6)
    assert chances(Curves(odds, cost[..., 1:]), STILL, Look(2, 2)).open == pytest.approx([0.0])


def test_many_branches_are_forecast_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    curves = drawn_curves(4, branches=7)
    together = np.stack(chances(curves, NOISE, LOOK))
    monkeypatch.setattr(chance, "TOGETHER", 2)
    assert np.stack(chances(curves, NOISE, LOOK)) == pytest.approx(together)
    assert [len(end) for end in chances(Curves(*(c[:0] for c in curves)), NOISE, LOOK)] == [0] * 3


def planted(noise: Noise, seed: int) -> Observed:
    """Branches that end as their chances say, drawn once."""
    look = Look(8, 8)
    curves = drawn_curves(seed, branches=150, gains=3, prompts=8)
    ends = np.stack(chances(curves, noise, look))
    drawn = (np.random.default_rng(seed).random(150) > ends.cumsum(0)).sum(0).clip(max=2)
    return Observed(curves, drawn, np.ones(150), look)


@pytest.mark.slow
def test_planted_noise_is_learned_again() -> None:
    found = learned([planted(NOISE, 5), planted(NOISE, 6)], cost_at=1.0)
    assert found.flip_at == pytest.approx(NOISE.flip_at, abs=0.8)
    assert np.log(found.cost_at / NOISE.cost_at) == pytest.approx(0, abs=0.4)
    fresh = planted(NOISE, 7)
    assert log_loss_of(fresh, found) < log_loss_of(fresh, NOISE) + 0.02


def test_a_thinned_sample_stands_for_the_whole() -> None:
    sample = planted(NOISE, 9)
    few = thinned(sample, 4, seed=0)
    assert (few.end == 0).sum() == 4 < (sample.end == 0).sum()
    assert (few.end != 0).sum() == (sample.end != 0).sum()
    assert few.weight.sum() == pytest.approx(sample.weight.sum())
    assert log_loss_of(few, NOISE) == pytest.approx(log_loss_of(sample, NOISE), abs=0.2)
    assert thinned(sample, 150, seed=0) is sample


def test_nothing_is_learned_where_nothing_opened() -> None:
    sample = planted(NOISE, 8)
    closed = sample._replace(end=np.zeros_like(sample.end))
    with pytest.raises(InputError, match="no branch of the samples opened"):
        learned([closed], cost_at=1.0)


def test_the_ends_are_named_in_their_order() -> None:
    from fulcra.protocol.results.chances import ENDS

    assert Chances._fields == ENDS
