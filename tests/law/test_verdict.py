"""The verdicts as truth tables: observed, by the law, why closed, and whether specific."""

import numpy as np
import pytest

from fulcra.law.verdict import failure_mode, law_verdict, margin, observe, specific
from fulcra.types import Edge

GAINS = (0.3, 0.6, 1.2)


def edge(gain: float | None, alignment: float | None = None) -> Edge:
    return Edge(gain, "measured", 4, alignment=alignment)


def flips(*counts: int, n: int = 16) -> np.ndarray:
    return np.array([[prompt < count for prompt in range(n)] for count in counts])


@pytest.mark.parametrize(
    ("counts", "open_", "gain", "verdict"),
    [
        ((0, 0, 0), False, None, "closed"),
        ((0, 1, 3), False, None, "closed"),
        ((0, 0, 7), False, None, "undetermined"),  # the interval of 7/16 holds one half
        ((0, 8, 0), True, 0.6, "undetermined"),  # observed open, but not surely
        ((0, 13, 0), True, 0.6, "open"),
        ((8, 16, 0), True, 0.3, "open"),  # the smallest gain counts, the best gain decides
    ],
)
def test_open_is_half_of_the_prompts_at_some_gain(
    counts: tuple[int, ...], open_: bool, gain: float | None, verdict: str
) -> None:
    assert observe(GAINS, flips(*counts)) == (open_, gain, verdict)


def test_without_prompts_nothing_is_determined() -> None:
    assert observe(GAINS, flips(0, 0, 0, n=0)) == (False, None, "undetermined")


@pytest.mark.parametrize(
    ("trigger", "ceiling", "verdict"),
    [
        (0.3, 0.6, "open"),
        (0.6, 0.3, "closed"),
        (0.5, 0.5, "closed"),
        (0.3, None, "open"),
        (None, 0.3, "closed"),
        (None, None, "closed"),
    ],
)
def test_the_law_opens_a_window_exactly_when_the_trigger_lies_below_the_ceiling(
    trigger: float | None, ceiling: float | None, verdict: str
) -> None:
    assert law_verdict(edge(ceiling), edge(trigger)) == verdict


def test_the_margin_is_octaves_of_gain_and_its_sign_is_the_law() -> None:
    assert margin(edge(0.8), edge(0.2)) == 2.0
    assert margin(edge(0.2), edge(0.8)) == -2.0
    assert margin(edge(None), edge(0.2)) is None
    assert margin(edge(0.2), edge(None)) is None


@pytest.mark.parametrize(
    ("earlier", "ceiling", "mode"),
    [
        (None, 0.6, "collapse_first"),
        (edge(None), 0.6, "collapse_first"),
        (edge(0.3), 0.6, "too_late"),
        (edge(0.9), 0.6, "collapse_first"),
        (edge(0.9), None, "too_late"),
    ],
)
def test_closed_is_too_late_when_the_same_direction_flips_earlier(
    earlier: Edge | None, ceiling: float | None, mode: str
) -> None:
    assert failure_mode(earlier, edge(ceiling), edge(None)) == mode


def test_a_cap_below_the_trigger_goes_before_every_other_reason() -> None:
    assert (
        failure_mode(edge(0.3), edge(0.6), edge(0.9, alignment=0.67), cap_alignment=0.5)
        == "norm_capped"
    )
    assert (
        failure_mode(edge(0.3), edge(0.6), edge(0.9, alignment=0.67), cap_alignment=0.7)
        == "too_late"
    )


@pytest.mark.parametrize(
    ("gain", "controls", "expected"),
    [
        (None, [None] * 20, None),
        (0.3, [], None),
        (0.3, [None] * 20, True),
        (0.3, [0.2] + [None] * 19, True),  # one of twenty may open as early
        (0.3, [0.2, 0.3] + [None] * 18, False),  # a tie is not later
        (0.3, [0.45] * 20, True),
    ],
)
def test_specific_is_earlier_than_95_percent_of_the_controls(
    gain: float | None, controls: list[float | None], expected: bool | None
) -> None:
    assert specific(gain, controls) is expected
