"""The anchored value against the formula written out, and what its clamp promises."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fulcra.formulas.anchor import anchored, natural_activation

NUMBERS = st.floats(-50, 50)
SIGNED = st.floats(0.01, 50) | st.floats(-50, -0.01)


@given(bound=SIGNED, k=st.floats(0, 5), gap=SIGNED, natural=NUMBERS)
def test_the_value_is_paper_c_s_formula_and_never_beyond_the_bound(
    bound: float, k: float, gap: float, natural: float
) -> None:
    value = float(anchored(bound, k, gap, torch.tensor([natural], dtype=torch.float64)))
    clamp = min if bound > 0 else max
    assert value == pytest.approx(clamp(k * bound * natural / gap - gap, bound), rel=1e-9, abs=1e-9)
    assert value <= bound if bound > 0 else value >= bound


def test_without_k_every_prompt_is_pinned_at_minus_d() -> None:
    assert anchored(5.0, 0.0, 2.0, torch.tensor([-3.0, 0.0, 7.0])).tolist() == [-2.0, -2.0, -2.0]


@given(row=st.lists(NUMBERS, min_size=1, max_size=6), gap=SIGNED)
def test_the_natural_activation_lies_on_the_side_of_the_gap(row: list[float], gap: float) -> None:
    expected = max(row) if gap > 0 else min(row)
    assert float(natural_activation(torch.tensor([row], dtype=torch.float64), gap)) == expected
