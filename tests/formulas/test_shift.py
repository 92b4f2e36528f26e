"""Whitening takes the clean spread out of a shift, and is the inverse root of what was shrunk."""

import torch

from fulcra.formulas.shift import usual, whitened, whitening


def clean(windows: int = 40, width: int = 12) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    spread = torch.linspace(0.1, 3, width)
    return torch.randn(windows, width, generator=draw) * spread + 1


def test_whitening_twice_is_the_inverse_of_the_shrunk_covariance() -> None:
    values, ridge = clean(), 0.3
    deviations = (values - values.mean(0)).double()
    covariance = deviations.T @ deviations / len(values)
    floor = ridge * covariance.trace() / len(covariance)
    shrunk = (1 - ridge) * covariance + floor * torch.eye(len(covariance))
    shift = torch.randn(3, 12, generator=torch.Generator().manual_seed(1))
    spread = whitening(values, ridge)
    twice = whitened(spread, whitened(spread, shift))
    expected = shift.double() @ shrunk.inverse() * floor
    torch.testing.assert_close(twice.double(), expected, rtol=1e-4, atol=1e-5)


def test_a_shift_along_the_clean_spread_shrinks_more_than_one_across_it() -> None:
    spread, axes = whitening(clean()), torch.eye(12)
    sizes = whitened(spread, axes[[0, 11]]).norm(dim=-1)
    assert sizes[0] > 2 * sizes[1]


def test_fewer_windows_than_dimensions_leave_the_rest_as_it_is() -> None:
    values = clean(3)
    spread = whitening(values)
    outside = torch.linalg.svd(values - values.mean(0)).Vh[-1:]
    torch.testing.assert_close(whitened(spread, outside), outside)


def test_what_is_usual_is_never_below_the_median_neuron() -> None:
    values = torch.tensor([[1.0, 2.0, 0.0]]).repeat(5, 1)
    assert usual(values).tolist() == [1.0, 2.0, 1.0]
