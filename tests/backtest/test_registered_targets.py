"""Targets of a registered study: met, missed, or undecided as the design has it."""

import pytest

from fulcra.backtest.registered import SECOND, read_design
from fulcra.backtest.registered_scores import HELD_OUT
from fulcra.backtest.registered_targets import study_targets
from fulcra.protocol.results.study import CeilingFigures, Group
from fulcra.protocol.results.validation import (
    CeilingScore,
    MedianNats,
    NoiseFloor,
    RepeatFloor,
    Target,
)

FLOOR = RepeatFloor(floor=None, log2=None, n=0, censored=0)
NOTHING = Group(lineages=(), ceilings=None, verdicts=None)


def score(mae: float) -> CeilingScore:
    named = dict.fromkeys(CeilingScore.model_fields)
    counts = {"tier": 2, "n": 1, "censored": 0}
    return CeilingScore.model_validate({**named, **counts, "mae": mae})


def ceiling_targets(better: float, p: float) -> list[Target]:
    """The two targets of the ceiling where the tested forecast leads by so much, with this p."""
    design = read_design(SECOND)
    figures = CeilingFigures(
        scores={design.ceiling: score(0.04), "kl_ladder": score(0.04 + better)},
        better=better,
        better_p=p,
        noise=NoiseFloor(floor=None, log2=None, n=0, censored=0, same_prompts=FLOOR),
        kl_at_ceiling=MedianNats(median=None, low=None, high=None, n=0),
    )
    groups = {lineage.name: NOTHING for lineage in design.held_out}
    groups[HELD_OUT] = NOTHING.model_copy(update={"ceilings": figures})
    return list(study_targets(design, groups))[:2]


@pytest.mark.parametrize(
    ("better", "p", "met"),
    [(0.01, 0.001, True), (0.01, 0.01, None), (-0.01, 0.9, False), (0.0, 0.5, False)],
)
def test_a_lead_within_its_noise_decides_nothing(better: float, p: float, met: bool | None) -> None:
    error, smaller = ceiling_targets(better, p)
    assert error.met
    assert smaller.met is met
    assert smaller.found == f"{p:.3g}"


def test_what_was_not_measured_is_undecided() -> None:
    design = read_design(SECOND)
    groups = dict.fromkeys([HELD_OUT, *(each.name for each in design.held_out)], NOTHING)
    assert {target.met for target in study_targets(design, groups)} == {None}
