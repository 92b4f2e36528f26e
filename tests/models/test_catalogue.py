"""`fulcra families` and `fulcra check` print what is verified."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fulcra.cli import app
from fulcra.models import families_markdown, families_table
from fulcra.models.families import FAMILIES
from fulcra.models.tiny import tiny

ROOT = Path(__file__).resolve().parents[2]


def test_every_family_is_verified() -> None:
    reports = families_table()
    assert [report.model_type for report in reports] == list(FAMILIES)
    assert all(report.passed and len(report.checks) == 7 for report in reports)


def test_the_page_of_the_documentation_is_the_table_of_today() -> None:
    assert (ROOT / "docs" / "families.md").read_text(encoding="utf-8") == families_markdown(), (
        "run `fulcra families --markdown > docs/families.md`"
    )


def test_families_are_printed_as_a_table_and_as_json() -> None:
    table, data = (
        CliRunner().invoke(app, ["families"]),
        CliRunner().invoke(app, ["families", "--json"]),
    )
    assert (table.exit_code, data.exit_code) == (0, 0)
    assert "gemma2" in table.output
    assert {
        entry["model_type"]: entry["passed"] for entry in json.loads(data.output)["families"]
    } == dict.fromkeys(FAMILIES, True)


def test_check_prints_each_check_with_its_numbers_and_exits_by_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("llama")
    model.hf.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    sound = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert sound.exit_code == 0
    assert (
        "ok   d_mlp    model.layers.2.mlp.down_proj: columns of the down projection's input = d_mlp"
        in sound.output
    )
    assert "found 48, expected 48" in sound.output
    monkeypatch.setitem(FAMILIES, "llama", replace(FAMILIES["llama"], down="mlp.up_proj"))
    broken = CliRunner().invoke(app, ["check", str(tmp_path), "--json"])
    assert broken.exit_code == 1
    first = json.loads(broken.output)["checks"][0]
    assert (first["name"], first["module"], first["passed"]) == (
        "d_mlp",
        "model.layers.0.mlp.up_proj",
        False,
    )
    assert (first["found"], first["expected"]) == (32, 48)
