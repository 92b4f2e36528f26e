"""What other commands measured stands in the page of the run they measured, and of no other."""

from pathlib import Path
from typing import Any

import pytest

from fulcra.errors import InputError
from fulcra.protocol.results.base import Named
from fulcra.protocol.results.effects import EffectsResult
from fulcra.protocol.results.judging import JudgingResult
from fulcra.protocol.results.screens import ScreensResult
from fulcra.release.beside import beside_of
from fulcra.release.finished import FinishedRun, finished_run
from tests.release.conftest import DENSE, EVIDENCE, SPARSE
from tests.report.hostile import hostile


@pytest.fixture(scope="module")
def sparse() -> FinishedRun:
    return finished_run(SPARSE)


def effects_folder(run: FinishedRun, folder: Path) -> Path:
    """A folder with effects on the run's model."""
    effects = hostile(EffectsResult, "word").model_copy(update={"model": run.result.model})
    return effects.save(folder).parent


def judged_folder(run: FinishedRun, folder: Path, **more: Any) -> Path:
    """A folder with judgements of the run's baseline."""
    count = sum(record.stage == "baseline" for record in run.files.records)
    fields = {"behavior": run.result.behavior.name, "stages": ("baseline",), "rollouts": count}
    judging = hostile(JudgingResult, "word")
    judging = judging.model_copy(update={**fields, "disagreements": (), **more})
    return judging.save(folder).parent


def test_a_page_holds_what_each_folder_holds(sparse: FinishedRun, tmp_path: Path) -> None:
    folders = [
        effects_folder(sparse, tmp_path / "effects"),
        judged_folder(sparse, tmp_path / "judged"),
    ]
    beside = beside_of(sparse, folders)
    assert (beside.effects is None, beside.judging is None, beside.screens) == (False, False, None)
    page = sparse.result.page(beside)
    assert "<h2>Side effects</h2>" in page
    assert "<h2>What other judges say</h2>" in page


def test_a_folder_of_something_else_or_two_of_a_kind_is_one_line(
    sparse: FinishedRun, tmp_path: Path
) -> None:
    effects = effects_folder(sparse, tmp_path / "effects")
    for folder, words in (
        (tmp_path / "gone", "no such folder; name the folder of `fulcra audit --more`"),
        (effects / "effects.json", "found a file; name the folder"),
        (DENSE, "holds none of extension.json, effects.json, judgements.json, screens.json"),
    ):
        with pytest.raises(InputError, match=words):
            beside_of(sparse, [folder])
    with pytest.raises(InputError, match=r"a second effects\.json"):
        beside_of(sparse, [effects, effects])


def test_judgements_of_another_run_are_refused(sparse: FinishedRun, tmp_path: Path) -> None:
    other = judged_folder(sparse, tmp_path / "other", stages=("confirmation",))
    with pytest.raises(InputError, match="give the judgements of this run"):
        beside_of(sparse, [other])
    texts = judged_folder(
        sparse, tmp_path / "texts", disagreements=hostile(JudgingResult, "word").disagreements
    )
    with pytest.raises(InputError, match="with other texts"):
        beside_of(sparse, [texts])


def test_screens_of_another_behavior_are_refused(sparse: FinishedRun) -> None:
    screens = ScreensResult.load(EVIDENCE / "screens.json")
    other = {"model": sparse.result.model, "behavior": Named(name="other", sha256="0")}
    screens = screens.model_copy(update=other)
    with pytest.raises(InputError, match="screens of other, the audit is of refusal"):
        sparse.result.page(beside_of(sparse, [])._replace(screens=screens))
