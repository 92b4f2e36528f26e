import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fulcra.errors import InputError
from fulcra.formulas.saturation import alignment_after, alignment_of_gain, gain_of_alignment
from tests.oracles.curves import angle_cosine

GAINS = st.floats(-50, 50)
COSINES = st.floats(-0.999, 0.999)


@given(gain=GAINS, seed=st.integers(0, 1000))
def test_alignment_after_is_the_cosine_of_the_vectors(gain: float, seed: int) -> None:
    stream, write = torch.randn(
        2, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    dosed = stream + gain * stream.norm() * write / write.norm()
    assert alignment_after(gain, angle_cosine(stream, write)) == pytest.approx(
        angle_cosine(dosed, write), abs=1e-9
    )


@given(alignment=COSINES)
def test_no_dose_leaves_the_alignment(alignment: float) -> None:
    assert alignment_after(0.0, alignment) == pytest.approx(alignment)


@given(gain=GAINS)
def test_gain_and_alignment_are_inverse(gain: float) -> None:
    assert gain_of_alignment(alignment_of_gain(gain)) == pytest.approx(gain, rel=1e-6, abs=1e-9)


@given(first=GAINS, second=GAINS, alignment0=COSINES)
def test_alignment_rises_with_gain(first: float, second: float, alignment0: float) -> None:
    low, high = sorted((first, second))
    assert alignment_after(low, alignment0) <= alignment_after(high, alignment0) + 1e-12


@given(gain=GAINS, alignment0=COSINES)
def test_the_two_poles_mirror_each_other(gain: float, alignment0: float) -> None:
    assert alignment_after(-gain, -alignment0) == pytest.approx(-alignment_after(gain, alignment0))


@given(gain=GAINS, alignment0=COSINES)
def test_tensors_and_floats_agree(gain: float, alignment0: float) -> None:
    exact = torch.tensor([gain], dtype=torch.float64)
    start = torch.tensor([alignment0], dtype=torch.float64)
    assert alignment_after(exact, start).item() == pytest.approx(alignment_after(gain, alignment0))
    assert alignment_after(gain, start).item() == pytest.approx(alignment_after(gain, alignment0))
    assert gain_of_alignment(start).item() == pytest.approx(gain_of_alignment(alignment0))


def test_full_alignment_needs_an_infinite_gain() -> None:
    assert gain_of_alignment(1.0) == math.inf
    assert gain_of_alignment(-1.0) == -math.inf
    assert gain_of_alignment(torch.tensor([1.0, -1.0])).tolist() == [math.inf, -math.inf]


@pytest.mark.parametrize("alignment", [1.2, -1.0001, math.nan])
def test_an_alignment_that_is_no_cosine_is_refused(alignment: float) -> None:
    with pytest.raises(InputError, match=r"a cosine lies in \[-1, 1\]"):
        gain_of_alignment(alignment)
