"""The commitment is made before the first dosed rollout and never changes."""

from pathlib import Path

import pytest

from fulcra.errors import RunFolderError
from fulcra.protocol.commit import commit
from fulcra.store import COMMITMENT, ROLLOUTS, WHOLE, RunFolder, digest, read_json, write_text

CONTENT = {"plan": {"gains": [0.3, 0.6]}, "branches": [{"branch": "L1.N2+", "budget": 1 / 3}]}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.open(tmp_path / "run", {"seed": 0})


def test_the_hash_is_that_of_the_stored_content(folder: RunFolder) -> None:
    sha256 = commit(folder, CONTENT)
    stored = read_json(folder.path / COMMITMENT)
    assert sha256 == stored["sha256"] == digest(stored["content"]) == commit(None, CONTENT)


def test_the_same_commitment_may_be_made_again(folder: RunFolder) -> None:
    first = commit(folder, CONTENT)
    before = (folder.path / COMMITMENT).read_bytes()
    assert commit(folder, CONTENT) == first
    assert (folder.path / COMMITMENT).read_bytes() == before


def test_another_commitment_is_refused_and_the_first_one_stays(folder: RunFolder) -> None:
    commit(folder, CONTENT)
    before = (folder.path / COMMITMENT).read_bytes()
    with pytest.raises(RunFolderError, match="a commitment is never replaced"):
        commit(folder, {**CONTENT, "branches": []})
    assert (folder.path / COMMITMENT).read_bytes() == before


def test_an_edited_commitment_is_refused(folder: RunFolder) -> None:
    commit(folder, CONTENT)
    path = folder.path / COMMITMENT
    write_text(path, path.read_text().replace("L1.N2+", "L1.N2-"))
    with pytest.raises(RunFolderError, match="a commitment is never replaced"):
        commit(folder, CONTENT)


@pytest.mark.parametrize(
    "dosed", ["rollouts/selection-0.ab.parquet", "rollouts/control-3.ab.parquet", ROLLOUTS, WHOLE]
)
def test_a_commitment_is_never_added_to_dosed_rollouts(folder: RunFolder, dosed: str) -> None:
    write_text(folder.path / dosed, "rows")
    with pytest.raises(RunFolderError, match="a commitment is never added afterwards"):
        commit(folder, CONTENT)
    assert not (folder.path / COMMITMENT).exists()


def test_undosed_rollouts_may_come_before_it(folder: RunFolder) -> None:
    write_text(folder.path / "rollouts" / "baseline-0.ab.parquet", "rows")
    commit(folder, CONTENT)
