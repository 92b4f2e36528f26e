"""The rows of the audit that two trees make: seconds by step, and where their tables differ."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "benchmarks" / "whole_audit.py"
EVIDENCE = ROOT / "docs" / "evidence"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("whole_audit", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(cpu_s: float, verdict: str, flips: dict[str, float | None]) -> dict[str, Any]:
    row = {"verdict": verdict, "observed_open": False, "flips": flips}
    plan = {"control": [10, cpu_s / 2]}
    return {
        "cpu_s": cpu_s,
        "steps": {"control": cpu_s},
        "foreseen": plan,
        "rollouts": {"control": 8},
        "table": {"L0.N1+": row},
    }


def test_a_row_holds_its_ratio_and_how_far_two_tables_are_apart(bench: ModuleType) -> None:
    before = said(8.0, "closed", {"0.1": 0.0, "0.2": 0.25})
    full = said(2.0, "closed", {"0.1": 0.0, "0.2": 0.5})
    early = said(1.0, "open", {"0.1": 0.0, "0.2": None})
    rounds = [{"other": before, "full": full, "curtailed": early}]
    rows = {row["name"]: row for row in bench.rows_of(rounds)}
    assert (rows["full"]["ratio"], rows["curtailed"]["ratio"]) == (4.0, 8.0)
    assert (rows["full"]["rungs"], rows["full"]["equal_rates"]) == (2, 1)
    assert rows["full"]["largest_difference_of_rates"] == 0.25
    assert (rows["full"]["equal_verdicts"], rows["curtailed"]["equal_verdicts"]) == (1, 0)
    assert rows["curtailed"]["rungs"] == 1
    assert rows["full"]["steps"] == {"control": 2.0}
    assert "ratio" not in rows["other"]


def test_steps_are_timed_by_name(bench: ModuleType) -> None:
    watch = bench.Stopwatch()
    for step in ("ground", "ceiling", "ground", ""):
        watch.begin(step, 1)
    assert list(watch.steps) == ["ground", "ceiling"]


def test_controls_have_no_row_of_their_own(bench: ModuleType) -> None:
    audit = json.loads((EVIDENCE / "audit-sparse" / "audit.json").read_text())
    rows = bench.table(audit)
    assert len(rows) == audit["summary"]["measured"]
    assert set(next(iter(rows.values()))) >= {"verdict", "ceiling", "trigger", "flips"}
