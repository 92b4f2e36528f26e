"""Both shipped audits measured again from their own rollouts, curtailed: the same verdicts."""

from collections import Counter
from pathlib import Path

import pytest

from fulcra.behaviors import load_behavior
from fulcra.models.tiny import tiny
from fulcra.protocol.budget import audit_costs
from fulcra.protocol.curtail import Key, Measure
from fulcra.protocol.evidence import figures
from fulcra.protocol.recheck.run_files import RunFiles, read_run
from fulcra.protocol.recheck.schedule import STAGES, schedule_checks
from fulcra.protocol.records import CEILING, Record
from fulcra.protocol.results.audit import Figures
from fulcra.protocol.results.commitment import Commitment
from fulcra.protocol.schedule import drawn_order, happened, schedule
from fulcra.protocol.stages import AuditSettings
from fulcra.protocol.unit_costs import UnitCosts

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"
#: What must not depend on how much is measured.
SAME = (
    "observed_open",
    "smallest_open_gain",
    "verdict",
    "law_verdict",
    "failure_mode",
    "specific",
    "margin",
)


def planned(run: RunFiles, measure: Measure) -> Commitment:
    """The commitment of the run, as if it had been curtailed."""
    ids = {
        stage: list(dict.fromkeys(r.prompt for r in run.records if r.stage == stage))
        for stage in (CEILING, "selection", "confirmation")
    }
    plan = run.content.plan
    orders = {stage: tuple(drawn_order(prompts, stage, 0)) for stage, prompts in ids.items()}
    settings = {**plan.settings, "measure": measure}
    curtailed_plan = plan.model_copy(update={"orders": orders, "settings": settings})
    return run.content.model_copy(update={"plan": curtailed_plan})


def remeasured(run: RunFiles, content: Commitment) -> list[Record]:
    """The records of the run that the curtailed measurement would have made."""
    records = [record for record in run.records if record.stage == "baseline"]
    for stage in STAGES:
        rows = {Key(r.branch, r.dose, r.prompt): r for r in run.records if r.stage == stage}
        ladders: dict[str, list[float]] = {}
        for branch, dose in dict.fromkeys((key.branch, key.dose) for key in rows):
            ladders.setdefault(branch, []).append(dose)
        plan = schedule(stage, ladders, content, records)
        keys = set(plan.keys(lambda wave, s=stage, r=rows: [happened(s, r[key]) for key in wave]))
        records += [rows[key] for key in rows if key in keys]
    other = ("baseline", *STAGES)
    return records + [record for record in run.records if record.stage not in other]


def foreseen(run: RunFiles, measure: Measure) -> dict[str, int]:
    """The rollouts of each stage by the plan before the run; nothing is timed."""
    sizes = run.result.settings
    settings = AuditSettings(sizes.neurons, sizes.random, sizes.controls, measure=measure)
    costs = UnitCosts(*[0.1] * len(UnitCosts._fields))
    behavior = load_behavior(run.result.behavior.name)
    steps = audit_costs(tiny("llama"), behavior, settings, costs)
    return {stage: steps[stage].rollouts for stage in STAGES}


def verdicts(audit: Figures) -> list[tuple[object, ...]]:
    """What is said of each branch."""
    return [tuple(getattr(branch, name) for name in SAME) for branch in audit.neurons]


@pytest.mark.parametrize(("measure", "most"), [("curtailed", 0.7), ("sequential", 0.52)])
@pytest.mark.parametrize("name", ["audit-sparse", "audit-dense"])
def test_a_curtailed_audit_says_what_the_full_one_says(
    name: str, measure: Measure, most: float
) -> None:
    run = read_run(EVIDENCE / name)
    content = planned(run, measure)
    records = remeasured(run, content)
    whole = figures(run.content, run.stored["sha256"], run.records)
    part = figures(content, run.stored["sha256"], records)
    assert verdicts(part) == verdicts(whole)
    counts = part.summary.curtailed
    assert counts is not None
    assert counts.rollouts < most * counts.planned
    made = Counter(record.stage for record in records)
    for stage, rollouts in foreseen(run, measure).items():
        assert made[stage] / 1.5 <= rollouts <= made[stage] * 1.5, stage
    assert whole.summary.curtailed is None


def test_a_row_too_few_or_too_many_is_noticed() -> None:
    run = read_run(EVIDENCE / "audit-sparse")
    content = planned(run, "curtailed")
    records = remeasured(run, content)
    made = run._replace(content=content, records=records)
    assert all(check.passed for check in schedule_checks(made))
    place = next(i for i, record in enumerate(records) if record.stage == "confirmation")
    short = made._replace(records=records[:place] + records[place + 1 :])
    lacking = [check for check in schedule_checks(short) if not check.passed]
    assert lacking[0].name == "confirmation rollouts"
    assert "1 missing" in lacking[0].detail
    extra = next(r for r in run.records if r.stage == CEILING and r not in records)
    long = made._replace(records=[*records, extra])
    assert "1 that nothing asks for" in next(
        check.detail for check in schedule_checks(long) if not check.passed
    )
