"""Why branches are closed: shares by weight, three tests with known answers, and labels split."""

import pytest

from fulcra.backtest.depth_reasons import deeper, reasons
from fulcra.backtest.depth_rows import reason_of
from fulcra.protocol.results.audit import Branch, Measured
from fulcra.protocol.results.depth import REASONS
from fulcra.types import FailureMode
from tests.backtest.planted_cases import drawn, place


def test_shares_count_what_each_branch_stands_for() -> None:
    rows = [
        drawn(place(0), reason="collapse_first", weight=6.0),
        drawn(place(1), reason="spread", weight=3.0),
        drawn(place(2), reason="too_late", weight=1.0),
        drawn(place(3), opened=True, weight=90.0),
    ]
    figures = reasons(rows, 0)
    assert figures.n == 3
    shares = {reason: share.value for reason, share in figures.shares.items()}
    assert shares == pytest.approx(
        dict.fromkeys(REASONS, 0.0) | {"collapse_first": 0.6, "spread": 0.3, "too_late": 0.1}
    )
    assert figures.shares["spread"].low == 0
    assert (figures.unchanged.value, figures.deeper.value) == (None, None)


def test_replies_are_those_of_the_branches_closed_by_the_reason() -> None:
    rows = [
        drawn(place(0), reason="collapse_first", weight=3.0, replies=(1.0, 0.0)),
        drawn(place(1), reason="collapse_first", weight=1.0, replies=(0.2, 0.8)),
        drawn(place(2), reason="norm_capped", replies=(None, 0.9)),
        drawn(place(3), reason="too_late", replies=(0.0, 0.0)),
    ]
    figures = reasons(rows, 0)
    assert figures.collapsed.value == pytest.approx(0.8)
    assert figures.unchanged.value == pytest.approx(0.9)
    assert (figures.unchanged.low, figures.unchanged.high) == (None, None)


def test_depth_is_compared_within_a_case() -> None:
    rows = [
        drawn(place(layer + 8 * i, model=model), reason=reason)
        for i in range(4)
        for model, layers in (("m", (3, 4)), ("n", (5, 6)))
        for layer, reason in zip(layers, ("collapse_first", "too_late"), strict=True)
    ]
    area = deeper(rows, 0)
    assert (area.value, area.low, area.high) == (1.0, 1.0, 1.0)
    swapped = [row._replace(depth=1 - row.depth) for row in rows]
    assert deeper(swapped, 0).value == 0.0


def closed(mode: FailureMode, ceiling: float | None, trigger: float | None) -> Branch:
    edges = [
        Measured(gain=gain, low=None, high=None, alignment=None, censored=gain is None)
        for gain in (ceiling, trigger)
    ]
    return Branch.model_construct(
        verdict="closed", failure_mode=mode, ceiling_measured=edges[0], triggers=(edges[1],)
    )


@pytest.mark.parametrize(
    ("mode", "ceiling", "trigger", "reason"),
    [
        ("collapse_first", 1.0, None, "collapse_first"),
        ("collapse_first", 1.0, 1.2, "collapse_first"),
        ("collapse_first", 1.0, 0.5, "spread"),
        ("collapse_first", None, 0.5, "spread"),
        ("collapse_first", None, None, "unreached"),
        ("too_late", 1.0, 0.5, "too_late"),
        ("norm_capped", None, None, "norm_capped"),
    ],
)
def test_collapse_first_is_taken_at_its_word(
    mode: FailureMode, ceiling: float | None, trigger: float | None, reason: str
) -> None:
    branch = closed(mode, ceiling, trigger)
    assert reason_of(branch) == reason
    assert reason_of(branch.model_copy(update={"verdict": "open"})) is None
