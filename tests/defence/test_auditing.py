"""The audits of a hardening: whatever stands beside one is measured on the prompts it asks for."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from fulcra import AuditSettings, Behavior, Model
from fulcra.defence import auditing
from fulcra.defence.auditing import audited_side
from fulcra.defence.hardened import HardenResult, SeveralEntry, UndoEntry
from fulcra.protocol.progress import Silent
from fulcra.report.hardened import model_sheet

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"


@pytest.mark.parametrize(("confirmation", "measured"), [(None, 16), (96, 96)])
def test_all_that_stands_beside_an_audit_is_measured_on_its_prompts(
    sparse: Model,
    refusal: Behavior,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    confirmation: int | None,
    measured: int,
) -> None:
    behaviors, side = list[Behavior](), HardenResult.load(EVIDENCE / "harden.json").sides[0]

    def noted(model: Model, behavior: Behavior, *rest: object) -> None:
        behaviors.append(behavior)

    def subject(model: Model, behavior: Behavior, seed: int) -> SimpleNamespace:
        return SimpleNamespace(behavior=behavior)

    def together(subject: SimpleNamespace, *rest: object) -> tuple[()]:
        behaviors.append(subject.behavior)
        return ()

    monkeypatch.setattr(auditing, "audit", noted)
    monkeypatch.setattr(auditing, "Subject", SimpleNamespace(of=subject))
    monkeypatch.setattr(auditing, "side_of", lambda *rest: side)
    monkeypatch.setattr(auditing, "several", together)
    monkeypatch.setattr(auditing, "undone", noted)
    settings = AuditSettings(confirmation=confirmation)
    audited_side("before", sparse, refusal, settings, tmp_path, Silent())
    assert [len(behavior.confirmation) for behavior in behaviors] == [measured] * 3
    assert (behaviors[1] == refusal) is (confirmation is None)


def test_a_table_says_of_how_many_prompts_where_a_file_does() -> None:
    side = HardenResult.load(EVIDENCE / "harden.json").sides[0]
    first = SeveralEntry(count=2, gains=(0.2,), flips=(0.6,))
    undo = UndoEntry(steps=12, most=120, rows=96, shown=(1.0, 0.2))
    old = side.model_copy(update={"several": (first,), "undo": undo})
    new = side.model_copy(
        update={
            "several": (first.model_copy(update={"n": 96}),),
            "undo": undo.model_copy(update={"n": 8}),
        }
    )
    rows = {str(row[0]): row[1:] for row in model_sheet([old, new]).rows}
    assert rows["2 neurons together open at"] == ("0.2", "0.2 (n = 96)")
    assert rows["undone by tuning on replies"] == ("12 steps", "12 steps on 96 replies (n = 8)")
