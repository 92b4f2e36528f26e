"""An estimate counts what the audit then does, by the audit's own hands, and leaves nothing
behind.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from fulcra import AuditSettings, Behavior, Model
from fulcra.engines.estimate import Estimate, line
from fulcra.errors import InputError
from fulcra.store import AUDIT, ROLLOUTS, read_json, read_rows
from fulcra.studies.dry_run import estimate_audit
from tests.studies.test_audit import STEPS

#: Stages of the rollout table that the estimate counts under the name of their step.
STEP_OF = {"direction_selection": "context", "direction_ablation": "context"}


def test_an_estimate_has_the_steps_the_rollouts_and_about_the_tokens_of_the_audit(
    audited: Path, sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    found, rows = estimate_audit(sparse, refusal, tiny), read_rows(audited / ROLLOUTS)
    steps = [STEP_OF.get(row["stage"], row["stage"]) for row in rows]
    assert (
        set(found)
        == set(STEPS) - {"cast"}
        == set(read_json(audited / AUDIT)["timing"]["steps"]) - {"cast"}
    )
    assert {
        step: one.rollouts for step, one in found.items() if one.rollouts and step != "clean ground"
    } == Counter(steps)
    tokens = sum(one.tokens for step, one in found.items() if step != "clean ground")
    assert tokens == pytest.approx(sum(row["tokens"] for row in rows), rel=0.3)
    assert all(
        one.seconds > 0 and one.cpu_seconds > 0 and one.bytes > 1 << 20 for one in found.values()
    )


def test_screens_are_counted_by_their_candidates_and_forecasts_by_their_branches(
    sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    found = estimate_audit(
        sparse,
        replace(refusal, confirmation=refusal.confirmation[:1]),
        replace(tiny, screen="window"),
    )
    assert {"screen doses", "screen pins", "forecast"} <= set(found)
    assert found["screen doses"].rollouts == found["forecast"].tokens == 0


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
    one, other = Estimate(3, 4, 5.0, 6.0, 70), Estimate(1, 2, 3.0, 4.0, 50)
    assert one + other == Estimate(4, 6, 8.0, 10.0, 70)
    assert one.times(2) == Estimate(6, 8, 10.0, 12.0, 70)
