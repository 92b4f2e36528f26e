"""Words of a sensitive behavior are nowhere, or, when asked for, in one private file alone."""

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fulcra import AuditSettings, Behavior, Model, audit, verify
from fulcra.errors import RunFolderError
from fulcra.protocol.redaction import text_hash, told
from fulcra.protocol.shards import read_rollouts
from fulcra.store import AUDIT, REPORT, ROLLOUTS, TEXTS, read_rows
from fulcra.studies.census import census
from tests.studies.test_census import SMALL, Stop

Audited = Callable[[bool], Path]


@pytest.fixture(scope="module")
def small(refusal: Behavior) -> Behavior:
    """Refusal, marked sensitive, on few prompts."""
    return replace(
        refusal,
        sensitive=True,
        positive=refusal.positive[:4],
        negative=refusal.negative[:4],
        selection=refusal.selection[:1],
        confirmation=refusal.confirmation[:2],
        ceiling_generic=refusal.ceiling_generic[:2],
    )


@pytest.fixture(scope="module")
def canaries(
    sparse: Model, small: Behavior, tiny: AuditSettings, tmp_path_factory: pytest.TempPathFactory
) -> set[str]:
    """Every completion of the same audit where it is not sensitive."""
    folder = tmp_path_factory.mktemp("open") / "run"
    audit(sparse, replace(small, sensitive=False), tiny, folder)
    return {row["text"] for row in read_rollouts(folder) if len(row["text"].split()) > 3}


@pytest.fixture(scope="module")
def audited_with(
    sparse: Model, small: Behavior, tiny: AuditSettings, tmp_path_factory: pytest.TempPathFactory
) -> Audited:
    """The folder of the sensitive audit, with or without its texts kept."""
    done: dict[bool, Path] = {}

    def _audited(keep: bool) -> Path:
        if keep not in done:
            done[keep] = tmp_path_factory.mktemp("sensitive") / "run"
            audit(sparse, small, replace(tiny, keep_text=keep), done[keep])
        return done[keep]

    return _audited


def leaks(folder: Path, canaries: set[str]) -> set[str]:
    """The files below a folder that hold a canary, tables read row by row."""
    leaking = set()
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = (
            json.dumps(read_rows(path))
            if path.suffix == ".parquet"
            else path.read_bytes().decode("utf-8", "replace")
        )
        if any(canary in content for canary in canaries):
            leaking.add(path.name)
    return leaking


def test_no_file_of_a_sensitive_run_holds_a_completion(
    audited_with: Audited, canaries: set[str]
) -> None:
    assert len(canaries) > 10
    assert leaks(audited_with(False), canaries) == set()


@pytest.mark.slow
def test_kept_texts_are_in_one_private_file_and_in_no_report(
    audited_with: Audited, canaries: set[str]
) -> None:
    folder = audited_with(True)
    assert leaks(folder, canaries) == {TEXTS}
    assert stat.S_IMODE((folder / TEXTS).stat().st_mode) == 0o600
    for name in (AUDIT, REPORT, ROLLOUTS):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o644


@pytest.mark.slow
def test_every_rollout_finds_its_kept_text_and_verify_holds_it_to_its_hash(
    audited_with: Audited,
) -> None:
    folder = audited_with(True)
    private = {row["text_hash"]: row["text"] for row in read_rows(folder / TEXTS)}
    rows = read_rollouts(folder)
    assert {row["text_hash"] for row in rows} == set(private)
    (check,) = [check for check in verify(folder) if check.name == "rollout texts"]
    assert check == ("rollout texts", True, f"0 of {len(private)} do not have their hash")


def test_a_run_begun_without_texts_does_not_go_on_with_them(
    audited_with: Audited, sparse: Model, small: Behavior, tiny: AuditSettings
) -> None:
    with pytest.raises(RunFolderError, match=r"holds another run \(different: settings\)"):
        audit(sparse, small, replace(tiny, keep_text=True), audited_with(False))


def test_of_sensitive_words_only_length_and_hash_are_told() -> None:
    words = "three little words"
    assert told(words, False, "salt") == (words, len(words), text_hash("salt", words))
    assert told(words, True, "salt") == ("", len(words), text_hash("salt", words))
    assert text_hash("salt", "a") != text_hash("other salt", "a")


@pytest.mark.slow
@pytest.mark.parametrize("sensitive", [True, False])
def test_a_census_keeps_the_words_of_a_sensitive_behavior_in_no_file(
    sensitive: bool, sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    # ended on its way: while it runs its folder holds every rollout, afterwards none
    task = replace(refusal, sensitive=sensitive)
    with pytest.raises(KeyboardInterrupt):
        census(sparse, task, SMALL, tmp_path / "run", Stop("climb 3"))
    rows = [
        row
        for path in (tmp_path / "run" / "rollouts").glob("climb-*.parquet")
        for row in read_rows(path)
    ]
    assert len(rows) > 100
    assert all(row["tokens"] and row["text_hash"] for row in rows)
    assert {bool(row["text"]) for row in rows} == {not sensitive}
    census(sparse, task, SMALL, tmp_path / "run")
    assert not leaks(
        tmp_path / "run", {prompt.control_openings[0] for prompt in refusal.confirmation}
    )
