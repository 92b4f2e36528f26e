"""`fulcra report`: one line where it is refused, and nothing written."""

import json
import shutil
from pathlib import Path

import pytest

from fulcra.protocol.results.effects import EffectsResult
from fulcra.release.finished import finished_run
from fulcra.store import AUDIT, read_json, write_json
from tests.cli.conftest import Call
from tests.release.conftest import DENSE, SPARSE
from tests.report.hostile import hostile


@pytest.fixture
def undecided(tmp_path: Path) -> Path:
    """A run that draws no verdict."""
    run = Path(shutil.copytree(DENSE, tmp_path / "undecided"))
    audit = read_json(run / AUDIT)
    audit["summary"]["protocol_reproduced"] = False
    write_json(run / AUDIT, audit)
    return run


def test_a_format_is_a_file(fulcra: Call, tmp_path: Path) -> None:
    out = tmp_path / "new" / "sparse.sarif"
    assert fulcra("report", SPARSE, "--as", "sarif", "--out", out).code == 0
    assert json.loads(out.read_text())["version"] == "2.1.0"


def test_a_run_without_a_verdict_is_in_no_format(
    fulcra: Call, undecided: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.sarif"
    left = fulcra("report", undecided, "--as", "sarif", "--out", out)
    assert left.code == 3
    assert "draws no verdict" in left.line
    assert not out.exists()


def test_what_a_format_needs_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    out = tmp_path / "a"
    both = fulcra("report", DENSE, SPARSE, "--as", "sarif", "--out", out).refusal
    assert "2 were named; name one" in both
    assert "the file to write, --out FILE" in fulcra("report", DENSE, "--as", "sarif").refusal
    inspect = ("report", DENSE, "--as", "inspect")
    assert "the new folder to write, --out DIR" in fulcra(*inspect).refusal
    assert "found a file, expected a folder" in fulcra(*inspect, "--out", __file__).refusal
    assert "is not one of" in fulcra("report", DENSE, "--as", "sarfi", "--out", out).refusal
    assert not out.exists()


def test_runs_side_by_side_are_markdown_and_a_folder(fulcra: Call, tmp_path: Path) -> None:
    out = tmp_path / "changes"
    left = fulcra("report", DENSE, SPARSE, "--out", out)
    assert left.code == 0, left
    assert left.out.startswith("# audit-dense, audit-sparse\n")
    assert (out / "summary.md").read_text().strip() == left.out.strip()
    assert (out / "tables" / "doses.parquet").is_file()
    assert "is not empty" in fulcra("report", DENSE, SPARSE, "--out", out).refusal


def test_a_run_without_a_verdict_or_of_another_schema_is_beside_none(
    fulcra: Call, undecided: Path
) -> None:
    left = fulcra("report", DENSE, undecided)
    assert left.code == 3
    assert "draws no verdict" in left.line
    write_json(undecided / AUDIT, {**read_json(undecided / AUDIT), "schema_version": 7})
    assert "of schema 7" in fulcra("report", DENSE, undecided).refusal


@pytest.mark.slow
def test_a_sealed_form_is_proven_by_verify(fulcra: Call, tmp_path: Path) -> None:
    run, out = Path(shutil.copytree(SPARSE, tmp_path / "run")), tmp_path / "public"
    left = fulcra("report", "--public", run, "--out", out)
    assert left.code == 0, left
    assert "Commitment `" in left.out
    proven = fulcra("verify", run, "--unseal", out)
    assert proven.code == 0, proven
    assert "ok   public commitment: published" in proven.out
    stored = read_json(out / "public.json")
    write_json(out / "public.json", {**stored, "commitment": "0" * 64})
    assert fulcra("verify", run, "--unseal", out).code == 1


def test_what_a_sealed_form_needs_is_one_line(
    fulcra: Call, undecided: Path, tmp_path: Path
) -> None:
    out = tmp_path / "public"
    assert "--out DIR" in fulcra("report", "--public", DENSE).refusal
    assert "name one" in fulcra("report", "--public", DENSE, SPARSE, "--out", out).refusal
    both = fulcra("report", "--public", DENSE, "--as", "sarif", "--out", out).refusal
    assert "choose one" in both
    left = fulcra("report", "--public", undecided, "--out", out)
    assert left.code == 3
    assert not (undecided / "public.salt").exists()
    assert not out.exists()


@pytest.mark.slow
def test_a_page_with_what_was_measured_elsewhere_is_a_folder(fulcra: Call, tmp_path: Path) -> None:
    sparse, out = finished_run(SPARSE), tmp_path / "page"
    effects = hostile(EffectsResult, "word").model_copy(update={"model": sparse.result.model})
    effects.save(tmp_path / "effects")
    left = fulcra("report", SPARSE, "--with", tmp_path / "effects", "--out", out)
    assert left.code == 0, left
    assert "<h2>Side effects</h2>" in (out / "report.html").read_text()
    hostile(EffectsResult, "word").save(tmp_path / "other")
    other = fulcra("report", SPARSE, "--with", tmp_path / "other", "--out", tmp_path / "no")
    assert "give what was measured on the audited model" in other.refusal
    assert not (tmp_path / "no").exists()


def test_what_a_page_with_more_needs_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    more = ("--with", tmp_path)
    assert "--out DIR" in fulcra("report", SPARSE, *more).refusal
    assert "name one" in fulcra("report", SPARSE, DENSE, *more, "--out", tmp_path / "a").refusal
    assert "choose one" in fulcra("report", SPARSE, *more, "--public").refusal
    assert "or --with" in fulcra("report", SPARSE, *more, "--json").refusal


def test_no_file_of_the_run_itself_is_written_over(fulcra: Call, tmp_path: Path) -> None:
    run = Path(shutil.copytree(DENSE, tmp_path / "run"))
    before = (run / AUDIT).read_bytes()
    left = fulcra("report", run, "--as", "sarif", "--out", run / AUDIT)
    assert "lies in the folder of the run" in left.refusal
    left = fulcra("gate", run, "--policy", "release", "--junit", run / AUDIT)
    assert "lies in the folder of the run" in left.refusal
    assert (run / AUDIT).read_bytes() == before


def test_a_run_named_twice_and_json_beside_a_tracker_are_one_line(fulcra: Call) -> None:
    assert "is named twice" in fulcra("report", DENSE, DENSE / ".." / DENSE.name).refusal
    assert "leave it out" in fulcra("report", DENSE, "--track", "mlflow", "--json").refusal


def test_the_name_of_a_folder_steers_no_terminal(tmp_path: Path) -> None:
    run = finished_run(Path(shutil.copytree(DENSE, tmp_path / "a\x1b[31m\nb")))
    assert run.name == "a?[31m?b"
