"""A run on a model folder and a behavior file is opened again as it was, from any folder."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from fulcra import AuditSettings, audit, load, load_behavior
from fulcra.models.loading import model_folder
from fulcra.protocol.source import (
    COPY,
    SOURCE,
    Sources,
    remember,
    reopened_behaviors,
    reopened_model,
)
from fulcra.store import read_json, write_json
from tests.cli.conftest import Call


class Finished(NamedTuple):
    """A finished run, and the model folder and behavior file that it was made of."""

    run: Path
    model: Path
    behavior: Path


@pytest.fixture
def finished(
    tiny: AuditSettings,
    written: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Finished:
    """A run in bfloat16, made of relative names in one folder; the test stands in another."""
    here, there = tmp_path / "here", tmp_path / "there"
    there.mkdir()
    shutil.copytree(model_folder("apothecary-sparse"), here / "models" / "mine")
    (here / "small.yaml").write_text(yaml.safe_dump(written))
    monkeypatch.chdir(here)
    model, behavior = load("models/mine", "bfloat16"), load_behavior("small.yaml")
    audit(model, behavior, tiny, tmp_path / "run")
    remember(tmp_path / "run", model, behavior)
    monkeypatch.chdir(there)
    return Finished(tmp_path / "run", here / "models" / "mine", here / "small.yaml")


@pytest.mark.slow
def test_a_run_is_opened_again_from_another_folder(
    fulcra: Call, finished: Finished, tiny: AuditSettings
) -> None:
    model, (behavior,) = reopened_model(finished.run), reopened_behaviors([finished.run])
    assert (model.name, model.folder, model.dtype) == ("mine", finished.model, torch.bfloat16)
    assert behavior == tiny.of(load_behavior(finished.behavior))
    judged = fulcra("judge", finished.run, "--judge", "oracle", "--json")
    assert (judged.code, judged.err) == (0, "")
    compared = fulcra("interventions", finished.run, "--json")
    assert (compared.code, compared.err) == (0, "")
    assert model.sha256 in compared.out


def test_what_was_moved_is_found_by_its_name_or_by_the_copy_in_the_run(
    fulcra: Call, finished: Finished, tmp_path: Path
) -> None:
    moved = finished.model.rename(tmp_path / "moved")
    finished.behavior.unlink()
    gone = fulcra("interventions", finished.run).refusal
    assert "its model cannot be opened again" in gone
    assert "name it with --model" in gone
    model = reopened_model(finished.run, Sources(models=(str(moved),)))
    (behavior,) = reopened_behaviors([finished.run])
    assert (model.folder, behavior.name) == (moved, "small")
    (finished.run / COPY).unlink()
    assert (
        "give its file with --behavior"
        in fulcra("judge", finished.run, "--judge", "oracle").refusal
    )


def test_changed_weights_and_changed_prompts_are_refused(
    fulcra: Call, finished: Finished, written: dict[str, Any]
) -> None:
    finished.behavior.write_text(yaml.safe_dump({**written, "horizon": 13}))
    for command in (("judge", finished.run, "--judge", "oracle"), ("interventions", finished.run)):
        line = fulcra(*command).refusal
        assert "audited another version of small than is known here" in line
        assert "give its file with --behavior, unchanged since" in line
    finished.behavior.write_text(yaml.safe_dump(written))
    (weights,) = finished.model.glob("*.safetensors")
    tensors = load_file(weights)
    tensors[min(tensors)] += 1
    save_file(tensors, weights, {"format": "pt"})
    line = fulcra("interventions", finished.run).refusal
    assert "was made of another mine than" in line
    assert "with --model, or audit anew" in line


def test_a_run_of_the_first_versions_is_opened_by_its_names(run_copy: Path) -> None:
    (run_copy / SOURCE).unlink(missing_ok=True)
    model, (behavior,) = reopened_model(run_copy), reopened_behaviors([run_copy])
    assert (model.name, behavior.name) == ("apothecary-sparse", "refusal")


def test_prompts_of_a_sensitive_behavior_are_not_copied(
    written: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump({**written, "sensitive": True}))
    remember(tmp_path, load("apothecary-sparse"), load_behavior(tmp_path / "small.yaml"))
    assert not (tmp_path / COPY).exists()
    assert read_json(tmp_path / SOURCE)["behavior"] == {
        "name": "small",
        "file": str(tmp_path / "small.yaml"),
    }


def test_a_source_that_cannot_be_read_is_one_line(fulcra: Call, run_copy: Path) -> None:
    write_json(run_copy / SOURCE, {"schema_version": 1, "model": {}})
    line = fulcra("judge", run_copy, "--judge", "oracle").refusal
    assert "source.json: model.name: Field required; take the file out" in line
