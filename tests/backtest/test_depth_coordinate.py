"""The unit that a ceiling is constant in carries it over, whatever the others say."""

import math

import numpy as np
import pytest

from fulcra.backtest.depth_coordinate import coordinates, gain_at
from fulcra.backtest.depth_rows import DrawnBranch
from fulcra.formulas.coordinate import Coordinate
from fulcra.protocol.results.depth import UNITS, Unit
from fulcra.types import Neuron
from tests.backtest.planted_cases import case, drawn, place
from tests.backtest.planted_rows import ceilings


@pytest.mark.parametrize("alignment0", [-0.4, 0.0, 0.3])
@pytest.mark.parametrize("gain", [0.2, 1.0, 2.4])
def test_the_gain_at_an_alignment_is_the_gain(alignment0: float, gain: float) -> None:
    at = Coordinate(Neuron(0, 0, 1), 1.0, alignment0)
    assert gain_at(at, at.alignment(gain)) == pytest.approx(gain)
    # where a norm caps the alignment, rungs are set in it, whatever the clean one
    capped = Coordinate(Neuron(0, 0, 1), 1.0, -abs(alignment0), cap_alignment=0.95)
    assert gain_at(capped, capped.alignment(gain)) == pytest.approx(gain)


def constant_in(unit: Unit, model: str = "m", seed: int = 0) -> list[DrawnBranch]:
    """Branches whose replies collapse at their ceiling, which is one level of `unit`."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(30):
        budget, damage = np.exp(rng.normal(0, 0.5, 2)).tolist()
        alignment0 = float(rng.uniform(-0.4, 0.4))
        at = Coordinate(Neuron(0, 0, 1), budget, alignment0)
        gain = {
            "gain": 1.0,
            "alignment": gain_at(at, 0.7),
            "dose": 1 / budget,
            "kl": damage,
        }[unit]
        rows.append(
            drawn(
                place(i, model=model),
                ceiling=gain,
                collapse=gain,
                damage=damage,
                units=(budget, alignment0, None),
            )
        )
    return rows


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_of_a_constant_level_carries_over(unit: Unit) -> None:
    cases = [case(constant_in(unit)), case(constant_in(unit, "n", 1), model="n")]
    figures = coordinates(cases, [], 0)
    assert figures.n == 60
    assert figures.own.value == 0
    for carried in (figures.within, figures.across):
        errors = {name: carried[name].error.value or 0.0 for name in UNITS}
        assert errors[unit] == pytest.approx(0, abs=1e-9)
        assert min(error for name, error in errors.items() if name != unit) > 0.02
        over = [carried[name].over_alignment for name in UNITS if name != "alignment"]
        lows = [each.low for each in over if each is not None]
        assert all(low is not None and low > 0 for low in lows) is (unit == "alignment")


def test_levels_of_others_are_no_branchs_own() -> None:
    rows = [
        drawn(place(i), ceiling=gain, collapse=gain) for i, gain in enumerate((1.0, 1.0, 1.0, 4.0))
    ]
    figures = coordinates([case(rows)], [], 0)
    # the last errs by two octaves, the others, whose median is of 1, 1 and 4, by none
    assert figures.within["gain"].error.value == pytest.approx(0.5)
    assert figures.across == {}
    poles = [drawn(place(0, pole), ceiling=1.0, collapse=1.0) for pole in "+-"]
    assert coordinates([case(poles)], [], 0).within["gain"].error.value is None


def test_early_replies_make_the_own_ceiling_late_and_censored_branches_leave() -> None:
    rows = [drawn(place(i), ceiling=1.0, collapse=0.5) for i in range(4)]
    rows += [drawn(place(i), damage=None) for i in range(4, 6)]
    figures = coordinates([case(rows)], [], 0)
    assert (figures.n, figures.own.value, figures.late.value) == (4, 1.0, 1.0)
    early = [row._replace(ceiling=1.0, collapse=2.0) for row in rows]
    assert coordinates([case(early)], [], 0).late.value == -1


def test_a_level_below_the_ladder_is_its_first_gain() -> None:
    rows = [
        drawn(place(i), ceiling=0.2, collapse=0.1, units=(1.0, alignment0, None))
        for i, alignment0 in enumerate((0.0, 0.0, 0.0, 0.5))
    ]
    error = coordinates([case(rows)], [], 0).within["alignment"].error.value
    shift = abs(math.log2(0.2 / 0.1))
    assert error == pytest.approx(3 * shift / 4)


def test_ceilings_of_models_give_the_gain_at_collapse_and_its_spread() -> None:
    rows = ceilings(n=40)
    figures = coordinates([], rows, 0)
    gains = sorted(row.measured or 0.0 for row in rows)
    assert figures.collapse.median == pytest.approx(np.median(gains))
    assert (figures.collapse.n, figures.n) == (40, 0)
    assert set(figures.spread) == {"activation", "write_length", "gain", "alignment", "kl"}
