"""`fulcra plan`: from a shape or a config to hours, and its refusals."""

import json
from pathlib import Path

from tests.cli.conftest import Call


def test_a_shape_becomes_a_plan_that_says_where_each_number_comes_from(fulcra: Call) -> None:
    call = ("plan", "--shape", "8x7b", "--neurons", 4, "--gpus", 16)
    shown = fulcra(*call)
    assert shown.code == 0
    assert "computed   parameters: 46.7 billion, 12.88 billion met by a token" in shown.out
    assert "published  h100: 80 GB, 989 TFLOP/s bf16" in shown.out
    assert "simulated  GPU-hours: " in shown.out
    plan = json.loads(fulcra(*call, "--json").out)
    assert (plan["layout"]["parallel"], plan["layout"]["replicas"]) == (2, 8)
    assert plan["gpu_hours"] > 0
    assert {step["name"] for step in plan["steps"]} >= {"baseline", "selection", "control"}


def test_bad_input_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    assert "no config and no --shape; give one of them" in fulcra("plan").refusal
    assert "both a config and --shape" in fulcra("plan", "a", "--shape", "8b").refusal
    assert "--shape '9b': not in the table" in fulcra("plan", "--shape", "9b").refusal
    assert "--gpus is 8; give more" in fulcra("plan", "--shape", "405b").refusal
    path = tmp_path / "config.json"
    path.write_text("{")
    assert "config.json cannot be read" in fulcra("plan", path).refusal
