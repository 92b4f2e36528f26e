"""The audit as a whole: committed first, the same twice, the same after an interruption, shown
again when finished.
"""

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fulcra import AuditSettings, Behavior, Model, audit, load, load_behavior
from fulcra.errors import InputError, RunFolderError
from fulcra.store import (
    AUDIT,
    COMMITMENT,
    MANIFEST,
    REPORT,
    ROLLOUTS,
    RunFolder,
    read_json,
    read_rows,
)
from tests.conftest import ROOT

STEPS = (
    "clean ground",
    "baseline",
    "cast",
    "forecast",
    "selection",
    "ceiling",
    "confirmation",
    "pins",
    "earlier",
    "context",
    "control",
)


def untimed(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "timing"}


@dataclass
class Watcher:
    """Keeps what the run's folder holds at the beginning of each step; at one step it behaves like
    Ctrl-C.
    """

    folder: Path
    stop: str | None = None
    seen: dict[str, tuple[bool, bool]] = field(default_factory=dict)

    def begin(self, step: str, total: int) -> None:
        self.seen[step] = (
            (self.folder / COMMITMENT).exists(),
            RunFolder(self.folder).has_dosed_parts(),
        )
        if step == self.stop:
            raise KeyboardInterrupt

    def advance(self, done: int) -> None:
        pass


def test_the_commitment_stands_before_the_first_dosed_rollout(
    sparse: Model, refusal: Behavior, tiny: AuditSettings, tmp_path: Path
) -> None:
    watcher = Watcher(tmp_path / "run", stop="control")
    with pytest.raises(KeyboardInterrupt):
        audit(sparse, refusal, tiny, tmp_path / "run", watcher)
    assert tuple(watcher.seen) == STEPS[: STEPS.index("control") + 1]
    committed = {
        step: seen
        for step, seen in watcher.seen.items()
        if step not in ("clean ground", "baseline", "cast", "forecast")
    }
    assert watcher.seen["forecast"] == (False, False)
    assert committed.pop("selection") == (True, False)
    assert set(committed.values()) == {(True, True)}


def test_a_resumed_audit_equals_an_uninterrupted_one(
    audited: Path, sparse: Model, refusal: Behavior, tiny: AuditSettings, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        audit(sparse, refusal, tiny, tmp_path / "run", Watcher(tmp_path / "run", stop="control"))
    assert not (tmp_path / "run" / AUDIT).exists()
    found = audit(sparse, refusal, tiny, tmp_path / "run")
    assert (
        untimed(found)
        == untimed(read_json(tmp_path / "run" / AUDIT))
        == untimed(read_json(audited / AUDIT))
    )
    assert (tmp_path / "run" / COMMITMENT).read_bytes() == (audited / COMMITMENT).read_bytes()
    assert read_rows(tmp_path / "run" / ROLLOUTS) == read_rows(audited / ROLLOUTS)


def test_the_same_seed_gives_the_same_audit_with_and_without_a_folder(
    audited: Path, sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    assert untimed(audit(sparse, refusal, tiny)) == untimed(read_json(audited / AUDIT))


def test_a_finished_run_is_shown_again_and_not_measured_again(
    run_copy: Path, sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in run_copy.iterdir()}
    watcher = Watcher(run_copy)
    assert audit(sparse, refusal, tiny, run_copy, watcher) == read_json(run_copy / AUDIT)
    assert not watcher.seen
    assert {path.name: path.stat().st_mtime_ns for path in run_copy.iterdir()} == before


def test_a_finished_run_holds_its_files_and_no_parts(audited: Path) -> None:
    assert {path.name for path in audited.iterdir()} == {
        MANIFEST,
        AUDIT,
        COMMITMENT,
        ROLLOUTS,
        REPORT,
    }


def test_another_command_is_refused_in_the_folder_of_a_run(
    run_copy: Path, sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    for other, said in (
        (replace(tiny, seed=1), "settings"),
        (replace(tiny, neurons=2), "settings"),
    ):
        with pytest.raises(RunFolderError, match=rf"holds another run \(different: {said}\)"):
            audit(sparse, refusal, other, run_copy)
    with pytest.raises(RunFolderError, match=r"different: behavior, behavior_sha256"):
        audit(sparse, replace(refusal, name="other"), tiny, run_copy)


def test_an_edited_commitment_stops_the_run_that_made_it(
    run_copy: Path, sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    (run_copy / AUDIT).unlink()
    path = run_copy / COMMITMENT
    path.write_text(path.read_text().replace('"open"', '"closed"').replace('"screen"', '"random"'))
    with pytest.raises(RunFolderError, match="a commitment is never replaced"):
        audit(sparse, refusal, tiny, run_copy)


def test_a_run_that_lost_its_commitment_gets_no_second_one(
    run_copy: Path, sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    (run_copy / AUDIT).unlink()
    (run_copy / COMMITMENT).unlink()
    with pytest.raises(RunFolderError, match="a commitment is never added afterwards"):
        audit(sparse, refusal, tiny, run_copy)


def test_more_neurons_than_there_are_leave_no_folder(
    sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError,
        match=(
            r"--neurons 3072 \+ 0 random \+ 1 controls: apothecary-sparse has 3072 neurons; ask for"
            r" fewer"
        ),
    ):
        audit(sparse, refusal, AuditSettings(neurons=3072, random=0, controls=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_committed_branch_is_measured_with_all_its_fields(audited: Path) -> None:
    found, committed = read_json(audited / AUDIT), read_json(audited / COMMITMENT)["content"]
    entries = [entry for entry in found["neurons"] if entry["source"] != "control"]
    assert [entry["neuron"] + entry["pole"] for entry in entries] == [
        branch["branch"] for branch in committed["branches"]
    ]
    assert found["summary"]["measured"] == len(entries) == 4
    assert len(found["neurons"]) - len(entries) == len(committed["controls"]) == 4
    for entry in entries:
        assert {
            "budget",
            "alignment0",
            "activation_gap",
            "ceiling_predicted",
            "trigger_predicted",
            "ceiling_measured",
        } <= entry.keys()
        assert {
            "triggers",
            "observed_open",
            "margin",
            "verdict",
            "failure_mode",
            "specific",
            "outcomes",
            "pins",
        } <= entry.keys()
        assert sum(entry["outcomes"].values()) == pytest.approx(1.0, abs=1e-5)
        assert [trigger["horizon"] for trigger in entry["triggers"]] == found["behavior"][
            "horizons"
        ]
    assert {row["attack"] for row in found["context"]} == {
        "prefill_1",
        "prefill_8",
        "best_neuron",
        "top_0.1%_set",
        "direction_ablation",
    }


def test_a_model_leaves_an_audit_as_it_came_in(audited: Path, sparse: Model) -> None:
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in sparse.hf.modules()
    )


@pytest.mark.parametrize("name", ["stories260K", "babyllama105"])
def test_models_trained_by_others_are_audited_from_a_yaml_file(
    name: str, shared: Path, tmp_path: Path
) -> None:
    model, behavior = (
        load(str(shared / "data" / name)),
        load_behavior(ROOT / "examples" / "pronoun.yaml"),
    )
    few = replace(
        behavior, selection=behavior.selection[:2], confirmation=behavior.confirmation[:8]
    )
    settings = AuditSettings(neurons=1, random=0, controls=1, gains=(0.5,), screen="contrastive")
    found = audit(model, few, settings, tmp_path / "run")
    verdicts = {entry["verdict"] for entry in found["neurons"] if entry["source"] == "screen"}
    if found["summary"]["protocol_reproduced"]:
        assert verdicts <= {"open", "closed", "undetermined"}
    else:
        assert verdicts == {"undetermined"}
        assert found["baseline"]["rate"] < 0.5 or not found["positive_control"]["acts"]
    shutil.rmtree(tmp_path / "run")
