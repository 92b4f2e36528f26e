import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from fulcra.formulas.divergence import CleanTokens, kl_nats, log_odds
from tests.oracles.curves import kl


def logits(seed: int, *shape: int, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 30))
def test_kl_equals_the_float64_oracle_and_is_not_negative(seed: int, scale: float) -> None:
    clean, dosed = logits(seed, 2, 3, 50, scale=scale), logits(seed + 1, 2, 3, 50, scale=scale)
    divergence = kl_nats(clean, dosed)
    assert divergence.shape == (2, 3)
    assert divergence.min() >= 0
    assert np.allclose(divergence, kl(clean, dosed), rtol=1e-4, atol=1e-5)


def test_kl_equals_scipy_entropy() -> None:
    clean, dosed = logits(0, 50), logits(1, 50)
    assert kl_nats(clean, dosed).item() == pytest.approx(
        entropy(clean.softmax(-1), dosed.softmax(-1)), rel=1e-4
    )


@given(seed=st.integers(0, 1000), shift=st.floats(-20, 20))
def test_equal_distributions_have_no_divergence(seed: int, shift: float) -> None:
    clean = logits(seed, 4, 50)
    assert kl_nats(clean, clean).max() == 0
    assert kl_nats(clean, clean + shift).max() < 1e-4


def test_clean_logits_broadcast_over_a_ladder() -> None:
    clean, dosed = logits(0, 3, 50), logits(1, 5, 3, 50)
    assert torch.allclose(
        kl_nats(clean, dosed), torch.stack([kl_nats(clean, row) for row in dosed])
    )


def test_the_logits_are_left_as_they_were() -> None:
    clean, dosed = logits(0, 3, 50), logits(1, 3, 50)
    before = clean.clone(), dosed.clone()
    kl_nats(clean, dosed)
    assert torch.equal(clean, before[0])
    assert torch.equal(dosed, before[1])


def test_bfloat16_logits_are_compared_in_float32() -> None:
    clean, dosed = logits(0, 3, 50).bfloat16(), logits(1, 3, 50).bfloat16()
    assert kl_nats(clean, dosed).dtype == torch.float32
    assert torch.equal(kl_nats(clean, dosed), kl_nats(clean.float(), dosed.float()))


def test_an_impossible_clean_token_adds_nothing() -> None:
    clean, dosed = logits(0, 50), logits(1, 50)
    clean[7] = -torch.inf
    assert kl_nats(clean, dosed).item() == pytest.approx(kl(clean, dosed).item(), rel=1e-4)


def test_an_overflown_dose_is_infinitely_far_and_a_broken_clean_pass_stays_nan() -> None:
    clean, dosed = logits(0, 2, 50), logits(1, 2, 50)
    dosed[1] = torch.nan
    assert kl_nats(clean, dosed)[1] == torch.inf
    assert kl_nats(dosed, clean)[1].isnan()
    assert kl_nats(clean, dosed)[0].isfinite()


def test_log_odds_are_those_of_the_probabilities() -> None:
    target, control = torch.tensor([0.2, 0.6]), torch.tensor([0.4, 0.3])
    assert torch.allclose(log_odds(target.log(), control.log()), (target / control).log())
    assert torch.allclose(
        log_odds(control.log(), target.log()), -log_odds(target.log(), control.log())
    )


@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 30))
def test_a_clean_side_computed_beforehand_changes_nothing(seed: int, scale: float) -> None:
    clean, dosed = logits(seed, 6, 50, scale=scale), logits(seed + 1, 6, 50, scale=scale)
    clean[0, 3] = dosed[0, 3] = -torch.inf
    dosed[1, 4] = torch.inf
    held = CleanTokens.of(clean)
    assert torch.allclose(held.kl_nats(dosed), kl_nats(clean, dosed), rtol=1e-5, atol=1e-6)
    part = held.rows(slice(2, 4)).kl_nats(dosed[2:4])
    assert torch.allclose(part, kl_nats(clean, dosed)[2:4], rtol=1e-5, atol=1e-6)
    broken = CleanTokens.of(torch.full((1, 50), torch.nan))
    assert broken.kl_nats(dosed[:1]).isnan().all()
