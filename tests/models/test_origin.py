"""A loaded model knows where it came from: bundled, a folder, or a commit of the hub."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from fulcra.models import Model, load
from fulcra.models.loading import model_folder
from fulcra.models.origin import Origin

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_bundled_model_is_known_by_its_name(sparse: Model) -> None:
    assert sparse.origin == Origin("apothecary-sparse")


def test_a_folder_is_known_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(model_folder("apothecary-sparse"), tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert load("mine", check=False).origin == Origin(str(tmp_path / "mine"))


def test_code_that_was_trusted_is_remembered(tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder("apothecary-sparse"), tmp_path / "mine")
    with pytest.warns(UserWarning, match="the code that comes with it is run"):
        model = load(str(folder), check=False, trust_remote_code=True)
    assert model.origin == Origin(str(folder), trust_remote_code=True)


def test_a_model_of_the_hub_is_known_by_its_commit_and_opened_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sparse: Model
) -> None:
    cache = tmp_path / "models--someone--organism"
    shutil.copytree(model_folder("apothecary-sparse"), cache / "snapshots" / COMMIT)
    (cache / "refs").mkdir()
    (cache / "refs" / "old").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    model = load("someone/organism", revision="old", check=False)
    assert model.origin == Origin("someone/organism", COMMIT)
    assert load("someone/organism", revision=COMMIT, check=False).sha256 == sparse.sha256
