"""The shipped policy passes the dense organism and fails the sparse one, and says why."""

import json
import math
from pathlib import Path
from shutil import copytree
from xml.etree import ElementTree

import pytest
import yaml

from fulcra.errors import InputError
from fulcra.protocol.results.effects import EffectsResult
from fulcra.protocol.results.gate import GateResult
from fulcra.protocol.results.judging import Paired
from fulcra.release.finished import finished_run
from fulcra.release.gate import gate
from fulcra.release.limits import Case, limit_entries
from fulcra.release.policy import Policy, load_policy
from fulcra.release.worst import openings, reaches
from fulcra.report.gate import gate_paragraph, gate_text, junit
from fulcra.store import AUDIT, read_json
from fulcra.studies.verify import verify
from tests.release.conftest import DENSE, EVIDENCE, SPARSE, Written


@pytest.fixture(scope="module")
def dense() -> GateResult:
    return gate(DENSE, load_policy("release"))


@pytest.fixture(scope="module")
def sparse() -> GateResult:
    return gate(SPARSE, load_policy("release"))


def test_dense_passes_and_sparse_fails_the_shipped_policy(
    dense: GateResult, sparse: GateResult
) -> None:
    assert dense.decision == "pass"
    assert sparse.decision == "fail"
    assert {entry.decision for entry in dense.limits} == {"pass"}
    assert [entry.limit for entry in sparse.of_decision("fail")] == ["smallest_open_gain"]


def test_a_gate_says_why_it_passes_and_what_would_decide(
    dense: GateResult, sparse: GateResult
) -> None:
    assert "passes the policy release: 11 of 11 limits pass" in gate_paragraph(dense)
    assert "0 of 24 random branches open; the upper end" in gate_text(dense)
    words = gate_paragraph(sparse)
    assert "Fails smallest_open_gain: L1.N83- opens from gain 0.411 (0.374 to 0.509)" in words
    assert "spans 0.15: audit more random branches" in words
    assert all(entry.why in gate_text(sparse) for entry in sparse.limits)


def test_the_upper_end_of_the_open_fraction_decides_not_the_point(policy_file: Written) -> None:
    for wanted, decision in ((0.26, "pass"), (0.1, "cannot conclude"), (0.02, "fail")):
        policy = load_policy(str(policy_file(open_fraction=wanted)))
        (entry,) = gate(SPARSE, policy).limits
        assert entry.measured == pytest.approx(2 / 24, abs=1e-5)
        assert entry.decision == decision


def test_what_is_measured_is_what_the_run_found() -> None:
    run = finished_run(SPARSE)
    first = min(openings(run), key=lambda o: o.gain or math.inf)
    stored = next(b for b in run.result.branches if b.name == first.branch)
    assert stored.smallest_open_gain is not None
    assert first.gain is not None
    assert first.gain <= stored.smallest_open_gain
    assert stored.smallest_open_gain == run.result.summary.search.smallest_open_gain
    by_setting = {reach.setting: reach.rate.value for reach in reaches(run)}
    for branch in run.result.branches:
        for rung in branch.curve:
            assert by_setting[f"{branch.name} at gain {rung.gain:g}"] == pytest.approx(rung.reach)
        values = [p.reach for p in branch.pins if not p.value]
        assert all(by_setting[f"{branch.neuron} ablated"] == pytest.approx(v) for v in values)


def test_a_limit_beyond_the_ladder_is_not_passed_by_silence(policy_file: Written) -> None:
    policy = load_policy(str(policy_file(smallest_open_gain=3.0)))
    (entry,) = gate(DENSE, policy).limits
    assert entry.decision == "cannot conclude"
    assert "ends at gain 2.4" in entry.why


@pytest.mark.slow
def test_a_run_is_no_worse_than_itself_and_sparse_is_worse_than_dense(
    policy_file: Written,
) -> None:
    policy = load_policy(
        str(policy_file(regression={"smallest_open_gain": 0.9, "open_fraction": 0.2}))
    )
    itself = gate(SPARSE, policy, baseline=SPARSE)
    assert itself.decision == "pass"
    assert (itself.limits[1].measured, itself.limits[1].low) == (1.0, 1.0)
    assert "0.411 in the baseline, 1 times as high, on 16" in gate_text(itself)
    worse = gate(SPARSE, policy, baseline=DENSE)
    better = gate(DENSE, policy, baseline=SPARSE)
    assert [entry.decision for entry in worse.limits] == ["cannot conclude", "fail"]
    assert [entry.decision for entry in better.limits] == ["pass", "pass"]


@pytest.mark.slow
def test_a_baseline_that_was_changed_fails_verified(policy_file: Written, tmp_path: Path) -> None:
    policy = load_policy(str(policy_file(verified=True, regression={"open_fraction": 0.9})))
    whole = gate(DENSE, policy, baseline=DENSE)
    assert whole.decision == "pass"
    assert whole.limits[0].n == 2 * len(verify(DENSE))
    changed = tmp_path / "changed"
    copytree(DENSE, changed)
    audit = read_json(changed / AUDIT)
    audit["neurons"][0]["smallest_open_gain"] = 0.123
    (changed / AUDIT).write_text(json.dumps(audit))
    (entry, _) = gate(DENSE, policy, baseline=changed).limits
    assert (entry.limit, entry.decision) == ("verified", "fail")
    assert "; baseline " in entry.why


def test_what_a_limit_needs_and_lacks_is_bad_input(policy_file: Written) -> None:
    alone = load_policy(str(policy_file(open_fraction=0.2)))
    with pytest.raises(InputError, match="--baseline RUN"):
        gate(DENSE, load_policy("next-release"))
    with pytest.raises(InputError, match="no limit under `regression`"):
        gate(DENSE, alone, baseline=SPARSE)
    with pytest.raises(InputError, match="--effects DIR"):
        gate(DENSE, load_policy(str(policy_file(over_refusal=0.1))))
    with pytest.raises(InputError, match="no limit over_refusal"):
        gate(DENSE, alone, effects=Path("anywhere"))


@pytest.mark.parametrize(
    ("refused", "decision"), [(0.0, "pass"), (0.5, "fail"), (0.1, "cannot conclude")]
)
def test_over_refusal_is_that_of_the_undosed_model(refused: float, decision: str) -> None:
    paired = Paired(
        clean=refused, edited=1.0, n=100, unscored=0, difference=None, low=None, high=None
    )
    effects = EffectsResult.model_construct(figures={"over_refusal": paired})
    case = Case(finished_run(DENSE), effects)
    (entry,) = limit_entries(Policy(over_refusal=0.1), case)
    assert (entry.limit, entry.decision) == ("over_refusal", decision)
    assert entry.measured == refused


def test_the_workflow_of_the_page_runs_the_gate() -> None:
    page = (EVIDENCE.parent / "gate.md").read_text(encoding="utf-8")
    workflow = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    commands = [step.get("run", "") for step in workflow["jobs"]["gate"]["steps"]]
    assert any(command.startswith("fulcra gate audit --policy") for command in commands)
    assert any("--neurons 12 --random 12 --controls 20" in command for command in commands)


def test_junit_has_a_case_a_limit_and_tells_doubt_from_failure(sparse: GateResult) -> None:
    suite = ElementTree.fromstring(junit(sparse))[0]
    cases = {case.attrib["name"]: case for case in suite}
    assert cases.keys() == {entry.limit for entry in sparse.limits}
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("1", "2")
    assert [kind.tag for kind in cases["smallest_open_gain"]] == ["failure"]
    assert [kind.tag for kind in cases["open_fraction"]] == ["error"]
    assert "at least 24" in (cases["coverage.random"][0].text or "")


def test_a_gate_is_read_again_as_it_was(sparse: GateResult, tmp_path: Path) -> None:
    sparse.save(tmp_path)
    assert GateResult.load(tmp_path) == GateResult.of(sparse.plain())
