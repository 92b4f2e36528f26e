"""Effective ranks of matrices whose spectrum is known."""

import pytest
import torch

from fulcra.formulas.spectrum import effective_rank


def test_equal_directions_are_counted_and_a_scale_changes_nothing() -> None:
    for width in (1, 3, 8):
        matrix = torch.zeros(8, 12)
        matrix[:width, :width] = torch.eye(width)
        assert effective_rank(matrix) == pytest.approx(width)
        assert effective_rank(1e-6 * matrix) == pytest.approx(width)


def test_a_weak_direction_counts_less_than_one() -> None:
    assert effective_rank(torch.diag(torch.tensor([2.0, 1.0]))) == pytest.approx(25 / 17)


def test_nothing_has_no_direction_and_a_turn_changes_none() -> None:
    assert effective_rank(torch.zeros(4, 4)) == 0.0
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(6, 9, generator=generator)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    assert effective_rank(turn @ matrix) == pytest.approx(effective_rank(matrix), rel=1e-4)
