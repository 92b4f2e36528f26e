import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fulcra.formulas.cap import cap_alignment, cap_gain, cap_write
from tests.oracles.curves import angle_cosine, rms_norm


@given(seed=st.integers(0, 1000), pole=st.sampled_from((1, -1)), width=st.integers(4, 64))
def test_a_huge_dose_through_an_explicit_rms_norm_reaches_the_cap(
    seed: int, pole: int, width: int
) -> None:
    draws = torch.randn(
        4, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    residual, clean, write, gamma = (
        3 * draws[0],
        draws[1],
        draws[2] / draws[2].norm(),
        1 + 0.3 * draws[3],
    )
    written = torch.from_numpy(rms_norm(clean + pole * 1e6 * write, gamma))
    capped = cap_alignment(gamma, write, residual, pole).item()
    assert angle_cosine(residual + written, gamma * write) == pytest.approx(capped, abs=1e-4)
    assert torch.allclose(written, pole * cap_write(gamma, write), atol=1e-3)


def test_a_dose_of_ten_thousand_is_within_a_ten_thousandth_of_the_cap() -> None:
    draws = torch.randn(4, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    residual, clean, write, gamma = 3 * draws[0], draws[1], draws[2], draws[3].abs()
    dosed = residual + torch.from_numpy(rms_norm(clean + 1e4 * write, gamma))
    assert angle_cosine(dosed, gamma * write) == pytest.approx(
        cap_alignment(gamma, write, residual).item(), abs=1e-4
    )


def test_the_cap_does_not_know_the_length_of_the_column() -> None:
    draws = torch.randn(3, 16, generator=torch.Generator().manual_seed(1))
    short, long = (cap_alignment(draws[0], scale * draws[1], draws[2]) for scale in (0.01, 100.0))
    assert torch.allclose(short, long)


def test_the_cap_falls_as_the_stream_grows() -> None:
    gamma, write, residual = torch.randn(3, 16, generator=torch.Generator().manual_seed(2))
    sizes = torch.tensor([1.0, 2.0, 4.0]).unsqueeze(-1)
    gains = cap_gain(gamma, write, residual * sizes)
    assert gains.shape == (3,)
    assert torch.allclose(gains * sizes.squeeze(-1), gains[:1])
