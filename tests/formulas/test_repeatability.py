"""The noise floor of a measurement is the error that a perfect forecast of it would show."""

import math
import random

import pytest

from fulcra.errors import InputError
from fulcra.formulas.repeatability import repeatability


@pytest.mark.parametrize("sd", [0.03, 0.5])
def test_the_floor_is_the_mean_error_of_a_forecast_that_knows_the_truth(sd: float) -> None:
    rng = random.Random(0)
    true = [rng.uniform(0.2, 0.9) for _ in range(4000)]
    first, second = ([value + rng.gauss(0, sd) for value in true] for _ in range(2))
    repeated = repeatability(first, second)
    assert repeated.sd == pytest.approx(sd, rel=0.05)
    assert repeated.floor == pytest.approx(
        sum(abs(a - t) for a, t in zip(first, true, strict=True)) / 4000, rel=0.05
    )
    assert repeated.n == 4000


def test_a_measurement_without_noise_has_no_floor_and_an_order_no_meaning() -> None:
    assert repeatability([0.1, 0.7], [0.1, 0.7]) == (0.0, 0.0, 2)
    assert repeatability([0.1, 0.7], [0.3, 0.2]) == repeatability([0.3, 0.2], [0.1, 0.7])


def test_nothing_measured_twice_is_unknown() -> None:
    repeated = repeatability([], [])
    assert math.isnan(repeated.sd)
    assert math.isnan(repeated.floor)
    assert repeated.n == 0


def test_a_quantity_measured_once_is_refused() -> None:
    with pytest.raises(
        InputError,
        match=r"repeatability\(\) got 2 and 1 values: expected each quantity measured twice",
    ):
        repeatability([0.1, 0.2], [0.1])
