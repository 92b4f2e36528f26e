"""The audit as a whole: committed first, the same twice, and after an interruption."""

import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest

from fulcra import AuditResult, AuditSettings, Behavior, Model, audit, load, load_behavior, verify
from fulcra.errors import InputError, RunFolderError
from fulcra.models.tiny import tiny as tiny_model
from fulcra.protocol.schedule import asking
from fulcra.protocol.shards import read_rollouts
from fulcra.protocol.source import SOURCE, reopened_behaviors, reopened_model
from fulcra.store import (
    AUDIT,
    COMMITMENT,
    MANIFEST,
    REPORT,
    ROLLOUTS,
    SEAL,
    SHARDS,
    RunFolder,
    plain,
    read_json,
    write_json,
)
from fulcra.studies.audit import begun_settings, require_begun
from tests.conftest import ROOT, untimed

STEPS = (
    "clean ground",
    "baseline",
    "cast",
    "forecast",
    "chances",
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


@pytest.fixture(scope="module")
def stopped(
    sparse: Model,
    refusal: Behavior,
    tiny: AuditSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Watcher:
    """What was seen of the tiny audit, interrupted at its controls, and its folder; unchanged."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    watcher = Watcher(folder, stop="control")
    with pytest.raises(KeyboardInterrupt):
        audit(sparse, refusal, tiny, folder, watcher)
    return watcher


def test_the_commitment_stands_before_the_first_dosed_rollout(stopped: Watcher) -> None:
    assert tuple(stopped.begun) == STEPS[: STEPS.index("control") + 1]
    undosed = ("clean ground", "baseline", "cast", "forecast", "chances")
    committed = {step: state for step, state in stopped.begun.items() if step not in undosed}
    assert stopped.begun["forecast"] == (False, False)
    assert committed.pop("selection") == (True, False)
    assert set(committed.values()) == {(True, True)}


def test_every_branch_has_its_chance_committed(audited: Path) -> None:
    committed = read_json(audited / COMMITMENT)["content"]["branches"]
    assert committed
    for entry in committed:
        assert sum(entry["chance"].values()) == pytest.approx(1.0, abs=1e-5)
    chances = {entry["branch"]: entry["chance"]["open"] for entry in committed}
    measured = [branch for branch in AuditResult.load(audited).neurons if branch.name in chances]
    assert {branch.name: branch.chance and branch.chance.open for branch in measured} == chances


def test_a_resumed_audit_equals_an_uninterrupted_one(
    audited: Path,
    stopped: Watcher,
    sparse: Model,
    refusal: Behavior,
    tiny: AuditSettings,
    tmp_path: Path,
) -> None:
    shutil.copytree(stopped.folder, tmp_path / "run")
    assert not (tmp_path / "run" / AUDIT).exists()
    result = audit(sparse, refusal, tiny, tmp_path / "run")
    assert result == AuditResult.load(tmp_path / "run")
    assert untimed(result) == untimed(AuditResult.load(audited))
    assert (tmp_path / "run" / COMMITMENT).read_bytes() == (audited / COMMITMENT).read_bytes()
    assert read_rollouts(tmp_path / "run") == read_rollouts(audited)


@pytest.mark.slow
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
        SHARDS,
        REPORT,
        SOURCE,
        SEAL,
    }


def test_the_model_and_the_behavior_of_a_run_are_opened_again(
    audited: Path, sparse: Model, refusal: Behavior
) -> None:
    assert reopened_model(audited).sha256 == sparse.sha256
    assert [behavior.name for behavior in reopened_behaviors([audited])] == [refusal.name]


def test_a_run_of_the_compiled_engine_is_opened_by_the_plain_one(
    run_copy: Path, sparse: Model
) -> None:
    source = read_json(run_copy / SOURCE)
    assert "compiled" not in source["model"]
    source["model"]["compiled"] = True
    write_json(run_copy / SOURCE, source)
    assert reopened_model(run_copy).sha256 == sparse.sha256


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


def test_in_a_world_nobody_asks_for_what_it_withholds(refusal: Behavior) -> None:
    assert not asking(refusal)
    own = replace(refusal, positive=tuple(replace(p, request=None) for p in refusal.positive))
    assert asking(own) == own.positive[: len(own.confirmation)]


@pytest.mark.slow
def test_gains_of_more_digits_than_a_file_holds_are_dosed_as_they_are_committed(
    sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    few = replace(
        refusal,
        selection=refusal.selection[:1],
        confirmation=refusal.confirmation[:2],
        ceiling_generic=refusal.ceiling_generic[:2],
    )
    settings = AuditSettings(1, 0, 1, gains=(1 / 3, 2 / 3), screen="contrastive")
    result = audit(sparse, few, settings, tmp_path / "run")
    for rung in (rung for branch in result.branches for rung in branch.curve):
        assert rung.gain in (0.333333, 0.666667)
        assert rung.flip_confirmation is not None
        assert rung.coherent is not None
    assert not [check for check in verify(tmp_path / "run") if not check.passed]
    assert {row["dose"] for row in read_rollouts(tmp_path / "run") if row["op"] == "add"} == {
        0.333333,
        0.666667,
    }


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gemma2", "mixtral"])
def test_any_family_without_openings_is_audited_alike_with_a_folder_and_without(
    family: str, refusal: Behavior, tmp_path: Path
) -> None:
    # a model of random weights: no verdict, but every stage
    texts = tuple(f"w{i} w{i + 1} w{i + 2}" for i in range(3, 19))
    silent = tuple(
        replace(prompt, target_openings=(), control_openings=(), answer=None)
        for prompt in (*refusal.selection[:2], *refusal.confirmation[:3])
    )
    task = replace(
        refusal,
        selection=silent[:2],
        confirmation=silent[2:],
        generic=texts,
        ceiling_generic=texts[:4],
        reference=None,
        sensitive=True,
    )
    model = tiny_model(family)
    settings = AuditSettings(1, 1, 1, gains=(0.1, 0.5), screen="contrastive")
    result = audit(model, task, settings, tmp_path / "run")
    assert untimed(audit(model, task, settings)) == untimed(result)
    assert {branch.trigger_predicted for branch in result.branches} == {None}
    assert {branch.predicted_verdict for branch in result.branches} == {"undetermined"}
    assert result.baseline.log_odds_margin is None
    assert "prefill_1" not in {row.attack for row in result.context}
    assert {row["text"] for row in read_rollouts(tmp_path / "run")} == {""}
    assert result.samples == ()
    assert not [check for check in verify(tmp_path / "run") if not check.passed]


def test_a_model_leaves_an_audit_as_it_came_in(audited: Path, sparse: Model) -> None:
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in sparse.hf.modules()
    )


@pytest.mark.slow
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
    asked = next(row for row in result.context if row.attack == "asked")
    assert asked.n <= min(len(few.positive), len(few.confirmation))
    # the few prompts are not those of the file beside the run
    failed = [check.name for check in verify(tmp_path / "run") if not check.passed]
    assert failed == ["behavior.yaml"]
    shutil.rmtree(tmp_path / "run")


@pytest.mark.parametrize("settings", [AuditSettings(), AuditSettings(neurons=2, seed=3, prompts=8)])
def test_a_begun_audit_says_its_settings(settings: AuditSettings, tmp_path: Path) -> None:
    write_json(tmp_path / MANIFEST, {"command": "audit", "settings": plain(asdict(settings))})
    assert begun_settings(tmp_path) == settings


def test_a_begun_audit_goes_on_with_other_sizes_but_nothing_else(tmp_path: Path) -> None:
    begun = AuditSettings(neurons=4, measure="sequential", prompts=8)
    require_begun(tmp_path, begun, AuditSettings())
    with pytest.raises(InputError, match="holds an audit with seed 0, not 5; keep_text False, not"):
        require_begun(tmp_path, begun, AuditSettings(seed=5, keep_text=True))
    with pytest.raises(InputError, match="measure full, not sequential"):
        require_begun(tmp_path, AuditSettings(), AuditSettings(measure="sequential"))
