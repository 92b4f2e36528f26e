"""An audit as a value: its bytes are the file's, it is read by name, and shows itself in lines."""

import json
import shutil
from pathlib import Path

import pytest

from fulcra import AuditResult
from fulcra.errors import InputError, RunFolderError
from fulcra.store import AUDIT, REPORT, read_json, write_json
from tests.conftest import ROOT

EVIDENCE = ROOT / "docs" / "evidence"
AUDITS = ("audit-sparse", "audit-dense")


@pytest.fixture(scope="module")
def shipped() -> AuditResult:
    """The shipped audit of the sparse organism."""
    return AuditResult.load(EVIDENCE / "audit-sparse")


@pytest.mark.parametrize("name", AUDITS)
def test_a_shipped_audit_is_written_back_byte_for_byte(name: str) -> None:
    path = EVIDENCE / name / AUDIT
    text = json.dumps(AuditResult.load(path).plain(), indent=1) + "\n"
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", AUDITS)
def test_what_is_saved_is_loaded_again(name: str, tmp_path: Path) -> None:
    result = AuditResult.load(str(EVIDENCE / name))
    path = result.save(str(tmp_path / "saved"))
    assert path.read_bytes() == (EVIDENCE / name / AUDIT).read_bytes()
    assert AuditResult.load(tmp_path / "saved") == AuditResult.load(path) == result
    assert {file.name for file in (tmp_path / "saved").iterdir()} == {AUDIT, REPORT}


def test_branches_and_controls_share_out_what_was_measured(shipped: AuditResult) -> None:
    assert shipped.branches + shipped.controls == shipped.neurons
    assert len(shipped.branches) == shipped.summary.measured
    assert {branch.source for branch in shipped.branches} == {"screen", "random"}
    assert {branch.source for branch in shipped.controls} == {"control"}


def test_the_best_branch_opens_at_the_smallest_gain(shipped: AuditResult) -> None:
    gains = [branch.smallest_open_gain for branch in shipped.branches]
    assert shipped.best is not None
    assert shipped.best.smallest_open_gain == min(gain for gain in gains if gain is not None)
    assert shipped.best.name == str(shipped.best.branch)
    controls = shipped.model_copy(update={"neurons": shipped.controls})
    assert controls.best is None
    assert "best branch none" in repr(controls)


def test_the_table_has_a_row_a_branch_and_gain(shipped: AuditResult) -> None:
    table = shipped.table()
    assert table.column_names == [
        "branch",
        "source",
        "verdict",
        "ceiling_predicted",
        "trigger_predicted",
        "gain",
        "alignment",
        "coherent",
        "flip_selection",
        "flip_confirmation",
        "reach",
    ]
    places = [(branch.name, rung.gain) for branch in shipped.branches for rung in branch.curve]
    rows = table.to_pylist()
    assert [(row["branch"], row["gain"]) for row in rows] == places
    first, rung = shipped.branches[0], shipped.branches[0].curve[0]
    assert first.ceiling_predicted is not None
    assert rows[0]["ceiling_predicted"] == first.ceiling_predicted.gain
    assert rows[0]["flip_confirmation"] == rung.flip_confirmation


@pytest.mark.parametrize("name", ["window", "attacks", "dose", "outcomes", "pins"])
def test_every_figure_has_its_name(shipped: AuditResult, name: str) -> None:
    branch = shipped.branches[-1].name
    figure = shipped.figure(name)
    assert figure.data
    assert (shipped.figure(name, branch) != figure) == (name not in ("window", "attacks"))


def test_other_figures_and_branches_are_refused_with_those_there_are(shipped: AuditResult) -> None:
    every = r"figure 'edges': there are window, attacks, rates, curve, committed, and of one"
    with pytest.raises(InputError, match=every):
        shipped.figure("edges")
    control, names = shipped.controls[0].name, rf"{shipped.branches[0].name.replace('+', '[+]')}, "
    with pytest.raises(InputError, match=rf"figure 'dose' of .*: measured were {names}"):
        shipped.figure("dose", control)


def test_an_audit_and_its_branches_show_themselves_in_a_few_lines(shipped: AuditResult) -> None:
    lines = repr(shipped).splitlines()
    assert len(lines) <= 5
    assert lines[0] == "<AuditResult>"
    assert shipped.summary.commitment_sha256[:16] in lines[-1]
    assert shipped.best is not None
    assert shipped.best.name in repr(shipped)
    assert repr(shipped.best) == f"<Branch {shipped.best.name}, screen: open, opens at gain 0.45>"
    assert repr(shipped.best) == str(shipped.best)


def test_an_unknown_key_in_the_file_is_one_line(tmp_path: Path) -> None:
    content = read_json(EVIDENCE / "audit-sparse" / AUDIT)
    content["neurons"][0]["verdikt"] = "open"
    write_json(tmp_path / AUDIT, content)
    with pytest.raises(
        RunFolderError, match=r"audit.json: neurons.0.verdikt: unknown key; expected a saved result"
    ) as refusal:
        AuditResult.load(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [[], {}, {"schema_version": 1}])
def test_another_file_is_no_audit(tmp_path: Path, content: object) -> None:
    write_json(tmp_path / "other.json", content)
    with pytest.raises(RunFolderError, match=r"other.json: .*; expected a saved result"):
        AuditResult.load(tmp_path / "other.json")


def test_a_folder_without_an_audit_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no audit.json; expected the folder of a finished"):
        AuditResult.load(tmp_path)


def test_an_audit_of_this_version_is_the_same_value_from_its_file(audited: Path) -> None:
    result = AuditResult.load(audited)
    text = json.dumps(result.plain(), indent=1) + "\n"
    assert text == (audited / AUDIT).read_text(encoding="utf-8")
    assert json.loads(result.json_text()) == read_json(audited / AUDIT)


def test_a_saved_audit_keeps_its_report(audited: Path, tmp_path: Path) -> None:
    shutil.copy(audited / AUDIT, tmp_path / AUDIT)
    AuditResult.load(tmp_path).save(tmp_path)
    assert (tmp_path / REPORT).read_bytes() == (audited / REPORT).read_bytes()
