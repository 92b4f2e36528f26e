"""`fulcra gate`: 0 pass, 1 fail, 2 bad input, 3 cannot conclude; one line where it is refused."""

import json
import shutil
from pathlib import Path

import pytest

from fulcra.store import AUDIT, read_json, write_json
from tests.cli.conftest import Call
from tests.release.conftest import DENSE, SPARSE


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """A copy of a finished run that a test may spoil."""
    return Path(shutil.copytree(DENSE, tmp_path / "dense"))


def changed(run: Path, **content: object) -> None:
    write_json(run / AUDIT, {**read_json(run / AUDIT), **content})


@pytest.mark.slow
def test_pass_fail_and_doubt_have_their_exit_codes(fulcra: Call, tmp_path: Path) -> None:
    policy = tmp_path / "doubt.yaml"
    policy.write_text("open_fraction: 0.1\n")
    assert fulcra("gate", DENSE, "--policy", "release", "--quiet").code == 0
    assert fulcra("gate", SPARSE, "--policy", "release", "--quiet").code == 1
    left = fulcra("gate", DENSE, "--policy", policy)
    assert (left.code, left.err) == (3, "")
    assert "cannot be decided by the policy doubt" in left.out


def test_json_is_the_whole_decision_and_junit_a_file(fulcra: Call, tmp_path: Path) -> None:
    junit = tmp_path / "gate.xml"
    left = fulcra("gate", SPARSE, "--policy", "release", "--json", "--junit", junit)
    told = json.loads(left.out)
    assert (left.code, told["decision"]) == (1, "fail")
    assert told["run"]["model"] == "apothecary-sparse"
    assert 'failures="1"' in junit.read_text()


def test_a_run_that_did_not_finish_is_one_line(fulcra: Call, dense: Path) -> None:
    (dense / AUDIT).unlink()
    line = fulcra("gate", dense, "--policy", "release").refusal
    assert "the run did not finish" in line


def test_no_run_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    assert "expected the folder" in fulcra("gate", tmp_path, "--policy", "release").refusal


def test_another_schema_is_one_line(fulcra: Call, dense: Path) -> None:
    changed(dense, schema_version=2)
    line = fulcra("gate", dense, "--policy", "release").refusal
    assert "audit.json is of schema 2, this release reads 1" in line


def test_a_misspelt_limit_is_one_line(fulcra: Call, dense: Path, tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("smallest_open_gian: 0.5\n")
    line = fulcra("gate", dense, "--policy", policy).refusal
    assert "did you mean 'smallest_open_gain'?" in line


def test_a_run_without_a_verdict_concludes_nothing(fulcra: Call, dense: Path) -> None:
    summary = read_json(dense / AUDIT)["summary"]
    control = {"attack": "prefill_1", "rate": 0.2, "acts": False}
    changed(dense, summary={**summary, "protocol_reproduced": False}, positive_control=control)
    left = fulcra("gate", dense, "--policy", "release")
    assert (left.code, left.out) == (3, "")
    assert "draws no verdict" in left.line


def test_a_changed_run_fails_the_limit_verified(fulcra: Call, dense: Path) -> None:
    audit = read_json(dense / AUDIT)
    audit["summary"]["prevalence"]["high"] = 0.01
    write_json(dense / AUDIT, audit)
    left = fulcra("gate", dense, "--policy", "release")
    assert left.code == 1
    assert "19 of 20 checks" in left.out


def test_a_baseline_of_other_prompts_is_one_line(
    fulcra: Call, audited: Path, tmp_path: Path
) -> None:
    line = fulcra("gate", audited, "--policy", "next-release", "--baseline", DENSE).refusal
    assert "differ in prompts, gains" in line


def test_a_sealed_run_is_held_to_its_seal(fulcra: Call, run_copy: Path, tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("verified: true\n")
    left = fulcra("gate", run_copy, "--policy", policy)
    assert left.code == 0, left
    assert "made again" in left.out
    (run_copy / "report.html").write_text("another")
    assert fulcra("gate", run_copy, "--policy", policy).code == 1
