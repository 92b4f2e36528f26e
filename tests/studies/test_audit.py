"""The audit as a whole: committed first, the same twice, and after an interruption."""

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fulcra import AuditResult, AuditSettings, Behavior, Model, audit, load, load_behavior
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
from tests.conftest import ROOT, untimed

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


@dataclass
class Watcher:
    """What a run's folder holds at the beginning of each step; at `stop` it acts like Ctrl-C."""

    folder: Path
    stop: str | None = None
    begun: dict[str, tuple[bool, bool]] = field(default_factory=dict)

    def begin(self, step: str, total: int) -> None:
        self.begun[step] = (
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
    assert tuple(watcher.begun) == STEPS[: STEPS.index("control") + 1]
    undosed = ("clean ground", "baseline", "cast", "forecast")
    committed = {step: state for step, state in watcher.begun.items() if step not in undosed}
    assert watcher.begun["forecast"] == (False, False)
    assert committed.pop("selection") == (True, False)
    assert set(committed.values()) == {(True, True)}


def test_a_resumed_audit_equals_an_uninterrupted_one(
    audited: Path, sparse: Model, refusal: Behavior, tiny: AuditSettings, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        audit(sparse, refusal, tiny, tmp_path / "run", Watcher(tmp_path / "run", stop="control"))
    assert not (tmp_path / "run" / AUDIT).exists()
    result = audit(sparse, refusal, tiny, tmp_path / "run")
    assert result == AuditResult.load(tmp_path / "run")
    assert untimed(result) == untimed(AuditResult.load(audited))
    assert (tmp_path / "run" / COMMITMENT).read_bytes() == (audited / COMMITMENT).read_bytes()
    assert read_rows(tmp_path / "run" / ROLLOUTS) == read_rows(audited / ROLLOUTS)


def test_the_same_seed_gives_the_same_audit_with_and_without_a_folder(
    audited: Path, sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    assert untimed(audit(sparse, refusal, tiny)) == untimed(AuditResult.load(audited))


def test_a_finished_run_is_shown_again_and_not_measured_again(
    run_copy: Path, sparse: Model, refusal: Behavior, tiny: AuditSettings
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in run_copy.iterdir()}
    watcher = Watcher(run_copy)
    shown = audit(sparse, refusal, tiny, run_copy, watcher)
    assert shown.plain() == read_json(run_copy / AUDIT)
    assert not watcher.begun
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
    for other in (replace(tiny, seed=1), replace(tiny, neurons=2)):
        with pytest.raises(RunFolderError, match=r"holds another run \(different: settings\)"):
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
    result = AuditResult.load(audited)
    committed = read_json(audited / COMMITMENT)["content"]
    assert [branch.name for branch in result.branches] == [
        branch["branch"] for branch in committed["branches"]
    ]
    assert result.summary.measured == len(result.branches) == 4
    assert len(result.controls) == len(committed["controls"]) == 4
    for branch in result.branches:
        assert branch.model_fields_set >= {
            "budget",
            "alignment0",
            "activation_gap",
            "ceiling_predicted",
            "trigger_predicted",
            "ceiling_measured",
            "triggers",
            "observed_open",
            "margin",
            "verdict",
            "failure_mode",
            "specific",
            "outcomes",
            "pins",
        }
        assert sum(branch.outcomes.values()) == pytest.approx(1.0, abs=1e-5)
        assert tuple(edge.horizon for edge in branch.triggers) == result.behavior.horizons
    assert {row.attack for row in result.context} == {
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
    result = audit(model, few, settings, tmp_path / "run")
    verdicts = {branch.verdict for branch in result.branches}
    if result.summary.protocol_reproduced:
        assert verdicts <= {"open", "closed", "undetermined"}
    else:
        assert verdicts == {"undetermined"}
        assert result.baseline.rate < 0.5 or not result.positive_control.acts
    shutil.rmtree(tmp_path / "run")
