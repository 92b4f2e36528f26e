"""One neuron's window: the same after an interruption, with and without a folder, in few lines."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fulcra import AuditResult, Behavior, Model, Neuron, verify, window
from fulcra.errors import RunFolderError
from fulcra.protocol.results.window import WindowResult
from fulcra.protocol.shards import read_rollouts
from fulcra.store import AUDIT, COMMITMENT
from fulcra.studies.window import WindowSettings
from tests.conftest import untimed
from tests.studies.test_audit import Watcher

pytestmark = pytest.mark.slow

SETTINGS = WindowSettings(gains=(0.45, 0.9))
NEURON = Neuron.parse("L1.N83-")


@pytest.fixture(scope="module")
def few(refusal: Behavior) -> Behavior:
    """Refusal on few prompts, marked sensitive."""
    return replace(
        refusal,
        sensitive=True,
        positive=refusal.positive[:4],
        negative=refusal.negative[:4],
        selection=refusal.selection[:2],
        confirmation=refusal.confirmation[:4],
        ceiling_generic=refusal.ceiling_generic[:2],
    )


@pytest.fixture(scope="module")
def measured(sparse: Model, few: Behavior) -> WindowResult:
    """The window, undisturbed and in memory."""
    return window(sparse, few, NEURON, SETTINGS)


def unstamped(result: WindowResult) -> WindowResult:
    assert result.audit is not None
    return result.model_copy(update={"audit": untimed(result.audit)})


def test_a_resumed_window_equals_an_undisturbed_one(
    sparse: Model,
    few: Behavior,
    measured: WindowResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # the salt of sensitive words is random, and stays in the folder it was drawn for
    monkeypatch.setattr("fulcra.protocol.redaction.secrets.token_hex", lambda size: "0" * size)
    folder, whole = tmp_path / "run", tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        window(sparse, few, NEURON, SETTINGS, folder, Watcher(folder, stop="confirmation"))
    assert not (folder / AUDIT).exists()
    resumed = window(sparse, few, NEURON, SETTINGS, folder)
    undisturbed = window(sparse, few, NEURON, SETTINGS, whole)
    assert unstamped(resumed) == unstamped(undisturbed) == unstamped(measured)
    assert (folder / COMMITMENT).read_bytes() == (whole / COMMITMENT).read_bytes()
    rows = read_rollouts(folder)
    assert rows == read_rollouts(whole)
    assert {row["text"] for row in rows} == {""}
    assert WindowResult.load(folder) == resumed
    assert not [check for check in verify(folder) if not check.passed]

    again = window(sparse, few, NEURON, SETTINGS, folder)
    assert again == resumed
    assert again.audit == AuditResult.load(folder)
    with pytest.raises(RunFolderError, match=r"holds another run \(different: neuron\)"):
        window(sparse, few, NEURON.opposite, SETTINGS, folder)


def test_a_window_is_one_committed_branch_without_pins_and_controls(measured: WindowResult) -> None:
    assert measured.audit is not None
    assert measured.measured is measured.audit.branches[0]
    assert measured.measured.name == measured.neuron == "L1.N83-"
    assert (measured.measured.pins, measured.measured.specific) == ((), None)
    assert measured.audit.controls == ()
    assert [point.gain for point in measured.curve] == [0.45, 0.9]


def test_a_saved_window_is_loaded_again(measured: WindowResult, tmp_path: Path) -> None:
    path = measured.save(tmp_path)
    assert WindowResult.load(tmp_path) == WindowResult.load(path) == measured
    assert json.loads(path.read_text()) == json.loads(measured.json_text())
    assert {file.name for file in tmp_path.iterdir()} == {"window.json", "window.html"}
    lines = repr(measured).splitlines()
    assert len(lines) <= 5
    assert "kl_ladder" in lines[-1]


def test_predictions_alone_are_those_that_are_measured(
    sparse: Model, few: Behavior, measured: WindowResult, tmp_path: Path
) -> None:
    predicted = window(sparse, few, NEURON, replace(SETTINGS, predict_only=True), tmp_path)
    assert WindowResult.load(tmp_path) == predicted
    assert {file.name for file in tmp_path.iterdir()} == {"window.json", "window.html"}
    assert (predicted.audit, predicted.measured) == (None, None)
    assert "audit" not in predicted.plain()
    assert predicted.plain() == {k: v for k, v in measured.plain().items() if k != "audit"}
