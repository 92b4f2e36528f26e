"""An estimate counts what the audit then does, by the audit's own steps."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from fulcra import AuditResult, AuditSettings, Behavior, Model
from fulcra.engines.estimate import Estimate, line
from fulcra.errors import InputError
from fulcra.store import ROLLOUTS, read_rows
from fulcra.studies.dry_run import estimate_audit, estimated
from tests.studies.test_audit import STEPS

#: Stages of the rollout table that the estimate counts under the name of their step.
STEP_OF = {"direction_selection": "context", "direction_ablation": "context"}


def test_an_estimate_has_the_steps_the_rollouts_and_about_the_tokens_of_the_audit(
    audited: Path, sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    costs, rows = estimate_audit(sparse, refusal, tiny), read_rows(audited / ROLLOUTS)
    steps = [STEP_OF.get(row["stage"], row["stage"]) for row in rows]
    timing = AuditResult.load(audited).timing
    assert timing is not None
    assert set(costs) == set(STEPS) - {"cast"} == set(timing.steps) - {"cast"}
    rolled_out = {step: cost for step, cost in costs.items() if step != "clean ground"}
    rollouts = {step: cost.rollouts for step, cost in rolled_out.items() if cost.rollouts}
    assert rollouts == Counter(steps)
    tokens = sum(cost.tokens for cost in rolled_out.values())
    assert tokens == pytest.approx(sum(row["tokens"] for row in rows), rel=0.3)
    for cost in costs.values():
        assert cost.seconds > 0
        assert cost.cpu_seconds > 0
        assert cost.bytes > 1 << 20


def test_the_sums_are_those_of_the_steps_and_are_said_in_one_line(
    sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    few = replace(refusal, confirmation=refusal.confirmation[:1])
    cost = estimated(sparse, few, tiny)
    assert cost.rollouts == sum(step.rollouts for step in cost.steps.values())
    assert cost.seconds == pytest.approx(sum(step.seconds for step in cost.steps.values()))
    assert cost.bytes == max(step.bytes for step in cost.steps.values())
    assert f"{cost.rollouts:,} rollouts" in repr(cost)
    assert cost.settings.gains == tiny.gains
    assert {"schema_version", "provenance"} <= cost.plain().keys()


def test_screens_are_counted_by_their_candidates_and_forecasts_by_their_branches(
    sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    few = replace(refusal, confirmation=refusal.confirmation[:1])
    costs = estimate_audit(sparse, few, replace(tiny, screen="window"))
    assert {"screen doses", "screen pins", "forecast"} <= set(costs)
    assert costs["screen doses"].rollouts == costs["forecast"].tokens == 0


def test_more_neurons_than_there_are_cannot_be_estimated(sparse: Model, refusal: Behavior) -> None:
    with pytest.raises(InputError, match="ask for fewer"):
        estimate_audit(sparse, refusal, AuditSettings(neurons=3072))


def test_the_line_gives_back_what_it_goes_through_and_never_more_than_proportion() -> None:
    few, many = (
        Estimate(tokens=20, seconds=2.0, cpu_seconds=3.0),
        Estimate(tokens=120, seconds=7.0, cpu_seconds=18.0),
    )
    assert line((10, few), (60, many), 10).seconds == pytest.approx(2.0)
    assert line((10, few), (60, many), 600).seconds == pytest.approx(61.0)
    assert line((10, few), (60, many), 600).cpu_seconds == pytest.approx(180.0)
    assert line((10, few), (60, many), 600).tokens == 1200
    assert line((10, many), (60, few), 600).seconds == pytest.approx(2.0)
    assert line((10, few), (10, few), 40).seconds == pytest.approx(8.0)


def test_costs_add_up_and_the_largest_memory_counts() -> None:
    first, second = Estimate(3, 4, 5.0, 6.0, 70), Estimate(1, 2, 3.0, 4.0, 50)
    assert first + second == Estimate(4, 6, 8.0, 10.0, 70)
    assert first.times(2) == Estimate(6, 8, 10.0, 12.0, 70)
