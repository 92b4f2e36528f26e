"""Two poles and two behaviors: windows that tell each other's, and windows that do not."""

import numpy as np
import pytest

from fulcra.backtest.depth_pairs import behaviors, poles
from fulcra.protocol.results.depth import ENOUGH
from fulcra.protocol.results.validation import CeilingRow
from tests.backtest.planted_cases import case, drawn, forecast, place
from tests.backtest.planted_rows import ceilings


def both_poles(gains: list[tuple[float, float]]) -> list[CeilingRow]:
    """Neurons of one layer by the ceilings of their poles."""
    rows, template = list[CeilingRow](), ceilings(n=1)[0]
    for i, pair in enumerate(gains):
        for pole, gain in zip("+-", pair, strict=True):
            update = {"neuron": f"L0.N{i}", "branch": f"L0.N{i}{pole}", "measured": gain}
            rows.append(template.model_copy(update=update))
    return rows


def test_equal_poles_tell_each_other_better_than_their_layer() -> None:
    figures = poles([], both_poles([(g, g) for g in (0.25, 0.5, 1.0, 2.0)]), 0)
    assert figures.pairs == 4
    assert figures.ceilings.value == pytest.approx(1)
    # the medians of the others: 1, 1, .5 and .5, so 2, 1, 1 and 2 octaves off
    assert figures.over_layer.value == pytest.approx(1.5)
    assert figures.over_layer.low is not None
    assert figures.over_layer.low > 0


def test_opposed_poles_are_told_and_one_pole_alone_is_no_pair() -> None:
    rows = both_poles([(0.25, 2.0), (0.5, 1.0), (1.0, 0.5), (2.0, 0.25)])
    figures = poles([], [*rows, rows[0].model_copy(update={"neuron": "L0.N9"})], 0)
    assert figures.pairs == 4
    assert figures.ceilings.value == pytest.approx(-1)
    assert figures.over_layer.value is not None
    assert figures.over_layer.value < 0


def test_an_opening_on_one_pole_lifts_the_chance_of_the_other() -> None:
    pool = [forecast(place(8 * i, pole), i, 0.1) for i in range(9) for pole in "+-"]
    pool[1] = pool[1]._replace(chance=0.6)
    rows = [drawn(place(0), opened=True), drawn(place(0, "-")), drawn(place(8), opened=True)]
    figures = poles([case(rows, pool)], [], 0)
    assert (figures.drawn, figures.single, figures.double) == (1, 1, 0)
    assert (figures.triggers.pairs, figures.triggers.opened) == (9, 2)
    assert figures.triggers.rho.value == pytest.approx(1)
    layer = (17 * 0.1 + 0.6) / 18
    assert figures.triggers.lift.value == pytest.approx((0.6 + 0.1) / (2 * layer))
    heavy = [rows[0]._replace(weight=3.0), *rows[1:]]
    lift = poles([case(heavy, pool)], [], 0).triggers.lift.value
    assert lift == pytest.approx((3 * 0.6 + 0.1) / (4 * layer))


def test_ranks_are_taken_within_a_layer() -> None:
    # layers differ far more than neurons, and neurons of a layer are opposed
    pool = [
        forecast(place(i, pole), 100 * (i % 8) + (i if pole == "+" else -i))
        for i in range(64)
        for pole in "+-"
    ]
    assert poles([case([], pool)], [], 0).triggers.rho.value == pytest.approx(-1)


def test_behaviors_share_what_both_pools_hold() -> None:
    first = [forecast(place(8 * i, behavior="a"), i, 0.1) for i in range(6)]
    second = [forecast(place(8 * i, behavior="b"), -i, 0.1 * (i + 1)) for i in range(1, 8)]
    rows = [drawn(place(8, behavior="a"), opened=True)]
    cases = [case(rows, first), case([], second), case([], first, model="n")]
    figures = behaviors(cases, 0).forecast
    assert (figures.pairs, figures.opened) == (5, 1)
    assert figures.rho.value == pytest.approx(-1)
    assert figures.lift.value == pytest.approx(0.2 / np.mean([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]))
    assert figures.lift.low is None


def test_ceilings_that_agree_and_triggers_that_do_not_are_apart() -> None:
    n = ENOUGH
    first = [drawn(place(i, behavior="a"), collapse=1.0, trigger=0.2) for i in range(n)]
    second = [drawn(place(i, behavior="b"), collapse=2.0, trigger=1.6) for i in range(n)]
    figures = behaviors([case(first), case(second)], 0)
    assert (figures.ceiling_pairs, figures.trigger_pairs) == (n, n)
    assert (figures.ceilings.value, figures.triggers.value) == pytest.approx((1, 3))
    assert figures.apart.low == pytest.approx(2)
    assert figures.decided
    second[0] = second[0]._replace(collapse=None)
    fewer = behaviors([case(first), case(second)], 0)
    assert (fewer.ceiling_pairs, fewer.decided) == (n - 1, False)
    assert fewer.ceilings.value == pytest.approx(1)


def test_nothing_to_compare_is_told_as_nothing() -> None:
    figures = behaviors([case([])], 0)
    assert (figures.ceilings.value, figures.apart.value, figures.forecast.lift.value) == (None,) * 3
    none = poles([], [], 0)
    assert (none.pairs, none.ceilings.value, none.over_layer.value) == (0, None, None)
    alone = poles([], both_poles([(1.0, 2.0)]), 0)
    assert (alone.pairs, alone.over_layer.value) == (1, None)
