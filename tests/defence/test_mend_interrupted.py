"""Mending as a whole: stopped at a change and in its audit, it goes on and hands out the same."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from fulcra import AuditResult, Model, load
from fulcra.defence.auditing import audit_side
from fulcra.defence.hardened import SideEntry
from fulcra.defence.mend.changes import Change
from fulcra.defence.mend.mended import How, MendResult
from fulcra.defence.mend.mending import Bench, Plan, changes_of, mend
from fulcra.errors import RunFolderError
from fulcra.report.mended import change_sheet, notes
from fulcra.types import Neuron

pytest.importorskip("peft", reason="needs peft: pip install 'fulcra[defence]'")

AUDIT = Path(__file__).parents[2] / "docs" / "evidence" / "audit-sparse"


class Interruptions(NamedTuple):
    """A mending in `folder` that is stopped at its second change, and again in its audit."""

    folder: Path
    tried: list[str]
    audited: list[str]

    def changes_of(self, bench: Bench, how: How, *rest: object) -> Iterator[Change]:
        self.tried.append(how)
        if self.tried == ["zero", "spread"]:
            raise KeyboardInterrupt
        return changes_of(bench, how, *rest)  # type: ignore[arg-type]

    def audited_side(self, name: str, model: Model, *_: object) -> SideEntry:
        """The audit that the mending began with, in place of another."""
        self.audited.append(model.sha256)
        if len(self.audited) == 1:
            raise KeyboardInterrupt
        run = shutil.copytree(AUDIT, self.folder / "audits" / name)
        return audit_side(name, AuditResult.load(run))


@pytest.mark.slow
def test_the_smallest_change_that_mends_is_handed_out_and_an_interruption_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, stops = Plan(None, ("zero", "spread")), Interruptions(tmp_path / "mended", [], [])
    for name in ("changes_of", "audited_side"):
        monkeypatch.setattr(f"fulcra.defence.mend.mending.{name}", getattr(stops, name))
    for handed_out in (False, True):
        with pytest.raises(KeyboardInterrupt):
            mend(AUDIT, plan, stops.folder)
        assert (stops.folder / "adapter_config.json").exists() is handed_out
    with pytest.raises(RunFolderError, match=r"holds another run \(different: settings\)"):
        mend(AUDIT, replace(plan, seed=1), stops.folder)
    result = mend(AUDIT, plan, stops.folder)
    assert stops.tried == ["zero", "spread", "spread"]
    mended = load(str(stops.folder))
    assert stops.audited == [mended.sha256] * 2
    assert not (stops.folder / "parts").exists()
    assert mend(AUDIT, plan, stops.folder) == result
    assert (len(stops.tried), len(stops.audited)) == (3, 2)
    require_mended(result, mended, stops.folder)


def require_mended(result: MendResult, mended: Model, folder: Path) -> None:
    """Both changes mend, the smaller one is handed out, and the page says what it does not do."""
    assert MendResult.load(folder) == result
    zeroed, spread = result.changes
    assert zeroed.mends
    assert spread.mends
    assert (zeroed.norm or 0) < (spread.norm or 0)
    assert (result.taken, result.refusal, result.gate.neuron) == ("zero", "", "L1.N83")
    assert [side.side for side in result.sides] == ["before", "mended"]
    assert mended.adapter is not None
    assert not mended.write(Neuron("L1.N83")).any()
    assert "its direction is not" in " ".join(notes(result))
    assert "What each change does" in (folder / "mend.html").read_text()
    assert "| nothing else lost |" in "\n".join(change_sheet(result).markdown())
