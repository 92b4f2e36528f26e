"""A seal: one root over every file of a run, and a tree over its rows in their order."""

import hashlib
import stat
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from fulcra import AuditSettings, Behavior, Model, audit, verify
from fulcra.errors import InputError, RunFolderError
from fulcra.protocol.redaction import private_salt, salt_of, text_hash
from fulcra.protocol.seal import merkle_root, read_seal
from fulcra.protocol.shards import read_rollouts
from fulcra.store import (
    AUDIT,
    COMMITMENT,
    MANIFEST,
    SALT,
    SEAL,
    TEXTS,
    digest,
    read_json,
    read_rows,
    write_json,
)
from fulcra.studies.verify import second_look
from fulcra.tables import table_bytes
from tests.chaos.audits import smallest


def hashed(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_the_tree_is_that_of_rfc_6962() -> None:
    rows = [b"a", b"b", b"c"]
    first, second, third = (hashed(b"\x00" + row) for row in rows)
    pair = hashed(b"\x01" + first + second)
    assert merkle_root([]) == hashlib.sha256().hexdigest()
    assert merkle_root(rows[:1]) == first.hex()
    assert merkle_root(rows[:2]) == pair.hex()
    assert merkle_root(rows) == hashed(b"\x01" + pair + third).hex()


@pytest.mark.parametrize(
    "rows", [[b"b", b"a", b"c"], [b"a", b"b"], [b"a", b"b", b"c", b"c"], [b"a", b"bc"]]
)
def test_no_other_rows_have_the_same_root(rows: list[bytes]) -> None:
    assert merkle_root(rows) != merkle_root([b"a", b"b", b"c"])


def test_every_digit_of_a_row_counts() -> None:
    schema = pa.schema([("x", pa.float64()), ("y", pa.string())])
    first, other, same = (
        table_bytes([row], schema)
        for row in ({"x": 0.1}, {"x": 0.10000000000000002}, {"y": None, "x": 0.1})
    )
    assert first != other
    assert first == same


def test_a_finished_run_is_sealed_whole(audited: Path) -> None:
    seal = read_seal(audited)
    assert seal is not None
    paths = (path for path in audited.rglob("*") if path.is_file())
    assert set(seal.files) == {path.relative_to(audited).as_posix() for path in paths} - {SEAL}
    assert list(seal.blocks) == list(read_json(audited / AUDIT))
    assert seal.rows == len(read_rollouts(audited))
    assert seal.root == seal.made_root


def test_every_file_and_block_is_said_to_rest_on_something(audited: Path) -> None:
    lines = {line.name: line.level for line in second_look(audited).coverage}
    blocks = {f"{AUDIT} {block}" for block in read_json(audited / AUDIT)}
    paths = (path for path in audited.rglob("*") if path.is_file())
    files = {path.relative_to(audited).as_posix() for path in paths} - {AUDIT}
    assert set(lines) == files | blocks
    assert set(lines.values()) == {"recomputed", "digest only"}
    assert lines["report.html"] == lines[f"{AUDIT} behavior"] == "recomputed"


def as_before_the_seal(folder: Path) -> None:
    """The run as the first versions left it: its commitment knows of no seal."""
    stored, audited = read_json(folder / COMMITMENT), read_json(folder / AUDIT)
    del stored["content"]["plan"]["sealed"]
    stored["sha256"] = audited["summary"]["commitment_sha256"] = digest(stored["content"])
    write_json(folder / COMMITMENT, stored)
    write_json(folder / AUDIT, audited)


def test_a_run_remembers_that_a_seal_belongs_to_it(run_copy: Path) -> None:
    for name in (SEAL, "source.json"):
        (run_copy / name).unlink()
    look = second_look(run_copy)
    assert [check for check in look.checks if not check.passed] == [
        (
            "seal",
            False,
            "no seal.json, which the plan in the commitment says that the run ended with",
        )
    ]


def test_runs_of_the_first_versions_are_still_read() -> None:
    for run in sorted((Path(__file__).parents[2] / "docs" / "evidence").glob("audit-*")):
        look = second_look(run)
        assert (look.passed, look.root) == (True, None)


def test_a_run_of_before_the_seal_passes_and_has_none(run_copy: Path) -> None:
    for name in (SEAL, "source.json"):
        (run_copy / name).unlink()
    as_before_the_seal(run_copy)
    look = second_look(run_copy)
    assert (look.passed, look.root) == (True, None)
    lines = {line.name: (line.level, line.detail) for line in look.coverage}
    assert lines[SEAL] == ("not covered", "no seal")
    assert lines[f"{AUDIT} timing"][0] == lines["report.html"][0] == "not covered"
    assert not second_look(run_copy, "0" * 64).passed


def test_a_file_of_another_command_is_not_covered(run_copy: Path) -> None:
    (run_copy / "judgements.json").write_text("{}")
    look = second_look(run_copy)
    assert look.passed
    assert [line.name for line in look.coverage if line.level == "not covered"] == [
        "judgements.json"
    ]


@pytest.mark.parametrize("root", ["", "abc", "0" * 63, "0" * 65, "G" * 64])
def test_a_root_that_is_none_is_refused(audited: Path, root: str) -> None:
    with pytest.raises(InputError, match="expected the 64 hex digits of a seal"):
        verify(audited, root)


@pytest.mark.parametrize("content", [[], {}, {"files": 1}, None])
def test_a_broken_seal_is_refused_in_one_line(run_copy: Path, content: object) -> None:
    write_json(run_copy / SEAL, content)
    with pytest.raises(RunFolderError, match=r"seal\.json: .*expected what `fulcra audit` wrote"):
        verify(run_copy)


def test_the_salt_is_random_private_and_stays(tmp_path: Path) -> None:
    salts = [private_salt(folder) for folder in (tmp_path / "a", tmp_path / "b")]
    assert len(set(salts)) == 2
    assert private_salt(tmp_path / "a") == salts[0] == salt_of(tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a" / SALT).stat().st_mode) == 0o600


@pytest.mark.slow
def test_hashes_of_sensitive_words_are_not_salted_with_what_lies_beside_them(
    sparse: Model, refusal: Behavior, tiny: AuditSettings, tmp_path: Path
) -> None:
    task = replace(smallest(refusal), sensitive=True)
    audit(sparse, task, replace(tiny, keep_text=True), tmp_path / "run")
    folder = tmp_path / "run"
    row = read_rows(folder / TEXTS)[0]
    assert row["text_hash"] == text_hash(salt_of(folder), row["text"])
    assert row["text_hash"] != text_hash(digest(read_json(folder / MANIFEST)), row["text"])
    assert all(check.passed for check in verify(folder))
    for name in (SALT, TEXTS):
        (folder / name).unlink()
    look = second_look(folder)
    assert look.passed, "an owner may keep both back"
    shared = [line.name for line in look.coverage if line.level == "not covered"]
    assert shared == [TEXTS, SALT]
