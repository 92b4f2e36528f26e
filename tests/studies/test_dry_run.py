"""A plan counts what the audit then does, and a number of minutes makes it smaller."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from fulcra import AuditResult, AuditSettings, Behavior, Model
from fulcra.errors import InputError
from fulcra.protocol.budget import SMALLER, Budgeted, audit_costs, budgeted
from fulcra.protocol.shards import read_rollouts
from fulcra.protocol.subject import in_tokens_of
from fulcra.protocol.unit_costs import UnitCosts, unit_costs
from fulcra.studies.dry_run import estimated, planned
from tests.studies.test_audit import STEPS

#: Stages of the rollout table that the plan counts under the name of their step.
STEP_OF = dict.fromkeys(("asked", "direction_selection", "direction_ablation"), "context")
#: Round numbers, so that what fits depends on no machine.
COSTS = UnitCosts(0.001, 0.0002, 0.0002, 0.001, 0.0002, cpu=2.0, prompt=12.0, reply=30.0)


def test_a_plan_has_the_steps_and_the_rollouts_of_the_audit(
    audited: Path, sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    plan, rows = planned(sparse, refusal, tiny), read_rollouts(audited)
    timing = AuditResult.load(audited).timing
    assert timing is not None
    assert set(plan.steps) == set(STEPS) - {"cast"} == set(timing.steps) - {"cast"}
    assert plan.settings == tiny
    assert plan.concessions == ()
    counts = Counter(STEP_OF.get(row["stage"], row["stage"]) for row in rows)
    for step in ("baseline", "selection", "ceiling", "confirmation", "control"):
        assert plan.steps[step].rollouts == counts[step]
    assert plan.steps["pins"].rollouts >= counts["pins"]
    for cost in plan.steps.values():
        assert cost.seconds > 0
        assert cost.bytes > 1 << 20


def test_the_sums_are_those_of_the_steps(
    sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    cost = estimated(sparse, refusal, planned(sparse, refusal, tiny))
    assert cost.rollouts == sum(step.rollouts for step in cost.steps.values())
    assert cost.seconds == pytest.approx(sum(step.seconds for step in cost.steps.values()))
    assert cost.bytes == max(step.bytes for step in cost.steps.values())
    assert f"{cost.rollouts:,} rollouts" in repr(cost)
    assert cost.settings.gains == tiny.gains
    assert {"schema_version", "provenance", "concessions"} <= cost.plain().keys()


def test_unit_costs_are_seconds_of_something(sparse: Model, refusal: Behavior) -> None:
    costs = unit_costs(sparse, in_tokens_of(sparse, refusal))
    assert all(value is not None and value > 0 for value in costs)
    assert costs.reply <= in_tokens_of(sparse, refusal).horizon


def test_a_behavior_without_openings_has_no_cost_of_a_next_token(
    sparse: Model, refusal: Behavior
) -> None:
    silent = [
        replace(prompt, target_openings=(), control_openings=()) for prompt in refusal.selection
    ]
    assert unit_costs(sparse, replace(refusal, selection=tuple(silent))).next_token is None


def test_more_neurons_than_there_are_cannot_be_planned(sparse: Model, refusal: Behavior) -> None:
    with pytest.raises(InputError, match="ask for fewer"):
        planned(sparse, refusal, AuditSettings(neurons=3072))


def test_fewer_minutes_never_afford_more(sparse: Model, refusal: Behavior) -> None:
    behavior, whole = in_tokens_of(sparse, refusal), AuditSettings()
    plans = [budgeted(sparse, behavior, whole, COSTS, m) for m in (20.0, 4.0, 2.0, 1.0, 0.9)]
    assert plans[0].settings == whole
    assert plans[0].concessions == ()
    seconds = [plan.seconds for plan in plans]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[1:] == [min(s, 60 * m) for s, m in zip(seconds[1:], (4, 2, 1, 0.9), strict=True)]
    counts = [len(plan.concessions) for plan in plans]
    assert counts == sorted(counts)
    assert any("prevalence is bounded by" in line for line in plans[-1].concessions)


def test_what_was_asked_for_is_never_exceeded(sparse: Model, refusal: Behavior) -> None:
    small = AuditSettings(neurons=3, random=0, controls=10, measure="sequential", candidates=100)
    plan = budgeted(sparse, in_tokens_of(sparse, refusal), small, COSTS, 0.6)
    assert plan.settings.neurons <= 3
    assert plan.settings.random == 0
    assert plan.settings.candidates <= 100
    assert plan.settings.measure == "sequential"


def test_confirmation_prompts_that_were_asked_for_are_not_given_up(
    sparse: Model, refusal: Behavior
) -> None:
    behavior, wanted = in_tokens_of(sparse, refusal), AuditSettings(confirmation=24)
    plans = [smallest(sparse, behavior, wanted, m / 100) for m in range(1, 1000, 9)]
    least = next(plan.settings for plan in plans if plan is not None)
    assert (least.random, least.prompts) == (1, None)
    assert len(least.of(behavior).confirmation) == 24
    ten = AuditSettings(confirmation=10)
    plans = [smallest(sparse, behavior, ten, m / 100) for m in range(1, 1000, 9)]
    assert {len(plan.settings.of(behavior).confirmation) for plan in plans if plan} == {10}
    with pytest.raises(InputError, match=r"or fewer confirmation prompts than the 24 asked for$"):
        budgeted(sparse, behavior, wanted, COSTS, 0.001)


@pytest.mark.parametrize(("horizon", "limit"), [(24, None), (48, 32)])
def test_replies_are_cut_to_no_less_than_32_tokens(
    sparse: Model, refusal: Behavior, horizon: int, limit: int | None
) -> None:
    behavior = replace(in_tokens_of(sparse, refusal), horizon=horizon)
    every = AuditSettings()
    least = next(
        plan.settings
        for plan in (smallest(sparse, behavior, every, m / 100) for m in range(1, 1000))
        if plan is not None
    )
    assert (least.random, least.horizon) == (1, limit)


def smallest(model: Model, behavior: Behavior, wanted: AuditSettings, m: float) -> Budgeted | None:
    """The plan that fits; None where none does."""
    try:
        return budgeted(model, behavior, wanted, COSTS, m)
    except InputError:
        return None


def test_minutes_that_afford_nothing_are_refused_with_what_would(
    sparse: Model, refusal: Behavior
) -> None:
    with pytest.raises(InputError, match=r"smallest audit .* takes\s+about"):
        budgeted(sparse, in_tokens_of(sparse, refusal), AuditSettings(), COSTS, 0.001)


def test_each_concession_makes_the_audit_cheaper(sparse: Model, refusal: Behavior) -> None:
    behavior = replace(in_tokens_of(sparse, refusal), horizon=48)
    settings, costs = AuditSettings(), COSTS._replace(reply=48.0)
    before = sum(c.seconds for c in audit_costs(sparse, behavior, settings, costs).values())
    for name, sizes in SMALLER:
        settings = replace(settings, **{name: sizes[-1]})
        after = sum(c.seconds for c in audit_costs(sparse, behavior, settings, costs).values())
        assert after < before, name
        before = after
