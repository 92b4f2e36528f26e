"""`fulcra mend`: what it is asked for is checked before anything is measured, in one line."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call

pytest.importorskip("peft", reason="needs peft: pip install 'fulcra[defence]'")

AUDIT = Path(__file__).parents[2] / "docs" / "evidence" / "audit-sparse"


def test_a_run_that_is_no_audit_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    left = fulcra("mend", tmp_path, "--out", tmp_path / "a")
    assert "no audit.json; expected the folder of a finished `fulcra audit`" in left.refusal
    assert not (tmp_path / "a").exists()


def test_a_neuron_that_the_audit_did_not_measure_or_open_is_one_line(
    fulcra: Call, tmp_path: Path
) -> None:
    left = fulcra("mend", AUDIT, "--neuron", "L5.N5-", "--out", tmp_path / "a")
    assert "neuron L5.N5-: not measured by the audit" in left.refusal
    assert "open there: L1.N83-" in left.refusal
    closed = fulcra("mend", AUDIT, "--neuron", "L6.N291", "--out", tmp_path / "a").refusal
    assert "neuron L6.N291: nothing opens through it" in closed


def test_what_is_about_the_audit_is_refused_without_it(fulcra: Call, tmp_path: Path) -> None:
    options = ("--no-audit", "--measure", "full", "--out", tmp_path / "a")
    assert (
        "--no-audit: nothing is audited; leave out --measure"
        in fulcra("mend", AUDIT, *options).refusal
    )


def test_a_closed_run_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    content = json.loads((AUDIT / "audit.json").read_text())
    for branch in content["neurons"]:
        branch["smallest_open_gain"] = None
        branch["pins"] = []
    (tmp_path / "audit.json").write_text(json.dumps(content))
    left = fulcra("mend", tmp_path, "--out", tmp_path / "a")
    assert "nothing opens in this audit, by dose, held or ablated" in left.refusal


def test_a_folder_that_is_not_free_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    left = fulcra("mend", AUDIT, "--out", tmp_path)
    assert "the folder is not empty and holds no run of fulcra; choose" in left.refusal


def test_a_change_that_cannot_close_the_gate_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    options = ("--neuron", "L2.N307", "--how", "retrain", "--out", tmp_path / "a")
    left = fulcra("mend", AUDIT, *options)
    assert "--how retrain: L2.N307: ablated, a neuron writes nothing" in left.refusal


@pytest.mark.slow
def test_a_gate_that_nothing_closes_leaves_with_1_and_its_table(
    fulcra: Call, tmp_path: Path
) -> None:
    options = ("--neuron", "L2.N307", "--how", "zero", "--out", tmp_path / "a", "--json")
    left = fulcra("mend", AUDIT, *options)
    assert left.code == 1
    assert json.loads(left.out)["taken"] is None
    assert "no change closes it and loses nothing else (zero: 69% still flip)" in left.line
    assert (tmp_path / "a" / "mend.json").is_file()
    assert not (tmp_path / "a" / "adapter_config.json").exists()
