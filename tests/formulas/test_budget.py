import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fulcra.formulas.budget import budget, dose_of_gain

SIZES = st.floats(1e-3, 1e3)


@given(residual=SIZES, write=SIZES)
def test_a_dose_of_one_budget_writes_as_much_as_the_stream(residual: float, write: float) -> None:
    assert dose_of_gain(1.0, budget(residual, write)) * write == pytest.approx(residual)


def test_a_write_of_norm_zero_has_an_infinite_budget() -> None:
    assert budget(3.0, 0.0) == math.inf
    assert budget(torch.tensor([3.0, 0.0]), 0.0).tolist() == [math.inf, math.inf]
    assert budget(torch.tensor([3.0, 0.0]), torch.tensor([0.0, 0.0])).tolist() == [
        math.inf,
        math.inf,
    ]


def test_tensors_are_taken_elementwise() -> None:
    norms = torch.tensor([1.0, 2.0, 4.0])
    assert budget(8.0, norms).tolist() == [8.0, 4.0, 2.0]
    assert budget(norms, 2.0).tolist() == [0.5, 1.0, 2.0]
    assert dose_of_gain(0.5, norms).tolist() == [0.5, 1.0, 2.0]
