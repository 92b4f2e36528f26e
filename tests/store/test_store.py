"""One byte form for a value, whole files or none, and a folder that belongs to one run."""

import errno
import fcntl
import gc
import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulcra.disk import LOCK, require_writable
from fulcra.errors import RunFolderError
from fulcra.store import (
    MANIFEST,
    RunFolder,
    append_line,
    canonical,
    digest,
    empty_folder,
    fresh_folder,
    plain,
    read_json,
    read_lines,
    read_rows,
    write_json,
    write_rows,
    write_text,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_read_back_has_the_same_bytes(value: object) -> None:
    assert canonical(json.loads(canonical(value))) == canonical(value)


def test_neither_the_order_of_keys_nor_the_kind_of_sequence_matters() -> None:
    assert digest({"a": (1, 2.0), "b": None}) == digest({"b": None, "a": [1, 2.0]})


@given(st.floats(min_value=1e-30, max_value=1e30), st.sampled_from([-1, 1]))
def test_floats_keep_six_significant_digits(value: float, sign: int) -> None:
    stored = plain(sign * value)
    assert math.isclose(stored, sign * value, rel_tol=5.01e-6)
    assert stored == float(f"{stored:.5e}")


def test_differences_beyond_the_sixth_digit_leave_the_bytes_alone() -> None:
    assert canonical(0.1 + 0.2) == canonical(0.3) == b"0.3"
    assert canonical(1.23456) != canonical(1.23457)


def test_what_json_cannot_hold_is_null() -> None:
    assert canonical([math.nan, math.inf, -math.inf]) == b"[null,null,null]"


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").write_text("x")
    with pytest.raises(
        RunFolderError, match=r"writing .*taken: .*free space or choose another --out"
    ):
        write_text(tmp_path / "taken", "text")  # a folder stands under the final name
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_refused_write_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"kept": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "a.json", {"bad": object()})
    assert read_json(tmp_path / "a.json") == {"kept": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_rows_come_back_as_they_went(tmp_path: Path) -> None:
    rows = [
        {"name": "L1.N2+", "gains": [0.1, 0.2], "flip": None},
        {"name": "é", "gains": [], "flip": True},
    ]
    schema = pa.schema(
        [("name", pa.string()), ("gains", pa.list_(pa.float64())), ("flip", pa.bool_())]
    )
    write_rows(tmp_path / "rows.parquet", rows, schema)
    assert read_rows(tmp_path / "rows.parquet") == rows


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken").write_bytes(content)
    with pytest.raises(
        RunFolderError, match=r"reading .*broken: .*; expected a file written by fulcra"
    ):
        read_json(tmp_path / "broken")
    with pytest.raises(
        RunFolderError, match=r"reading .*broken: .*; expected a table written by fulcra"
    ):
        read_rows(tmp_path / "broken")


def test_a_folder_goes_on_with_its_own_manifest_and_no_other(tmp_path: Path) -> None:
    manifest = {"command": "audit", "settings": {"gains": (0.1, 0.2)}, "seed": 0}
    RunFolder.open(tmp_path / "run", manifest)
    assert RunFolder.open(tmp_path / "run", manifest).path == tmp_path / "run"
    for other in ({**manifest, "seed": 1}, {**manifest, "more": 1}, {"command": "audit"}):
        with pytest.raises(
            RunFolderError,
            match=(
                r"holds another run \(different: (seed|more|seed, settings)\); choose a new folder"
            ),
        ):
            RunFolder.open(tmp_path / "run", other)


def test_a_file_and_a_foreign_folder_are_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="found a file, expected a folder"):
        RunFolder.open(tmp_path / "file", {})
    with pytest.raises(RunFolderError, match="not empty and holds no run of fulcra"):
        RunFolder.open(tmp_path / "folder", {})
    assert not (tmp_path / "folder" / MANIFEST).exists()
    assert (tmp_path / "file").read_text() == "mine"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert (RunFolder.open(tmp_path, {"seed": 0}).path / MANIFEST).is_file()


def test_a_fresh_folder_is_the_first_free_number(tmp_path: Path) -> None:
    (tmp_path / "a-1").mkdir()
    (tmp_path / "a-2").write_text("")
    assert fresh_folder(tmp_path, "a") == tmp_path / "a-3"
    assert fresh_folder(tmp_path / "none", "a") == tmp_path / "none" / "a-1"


HOLDER = "import sys; from pathlib import Path; from fulcra.store import RunFolder; "


def holder_of(folder: Path) -> "subprocess.Popen[str]":
    """A process that holds the run folder until it is killed."""
    code = f"{HOLDER}run = RunFolder.open(Path(sys.argv[1]), {{}}); print(1, flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_second_process_is_told_who_has_the_folder_until_that_one_dies(tmp_path: Path) -> None:
    with holder_of(tmp_path / "run") as process:
        with pytest.raises(RunFolderError) as refused:
            RunFolder.open(tmp_path / "run", {})
        process.kill()
    assert str(refused.value) == (
        f"--out {tmp_path / 'run'}: process {process.pid} on {socket.gethostname()} is writing"
        " there; wait until it ends, or choose another folder"
    )
    RunFolder.open(tmp_path / "run", {}).drop_parts()
    assert [path.name for path in (tmp_path / "run").iterdir()] == [MANIFEST]


def test_a_folder_that_is_dropped_is_let_go(tmp_path: Path) -> None:
    folder = RunFolder.open(tmp_path / "run", {})
    assert (tmp_path / "run" / LOCK).exists()
    assert RunFolder.open(tmp_path / "run", {}).path == folder.path  # the same process
    del folder
    gc.collect()
    assert not (tmp_path / "run" / LOCK).exists()


def test_what_a_dead_writer_left_is_removed_and_what_is_not_ours_is_not(tmp_path: Path) -> None:
    run = tmp_path / "run"
    RunFolder.open(run, {}).drop_parts()
    (run / ".audit.json.abcd_123.tmp").write_text("half")
    (run / ".notes.tmp").write_text("mine")
    RunFolder.open(run, {}).drop_parts()
    assert {path.name for path in run.iterdir()} == {MANIFEST, ".notes.tmp"}


def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / ".a.json.abcd_123.tmp"
    path.write_text("half")
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_json(tmp_path / "a.json", {})
        assert path.exists()
    write_json(tmp_path / "a.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_run_that_died_at_its_first_write_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("process 1 on nowhere\n")
    (tmp_path / f".{MANIFEST}.abcd_123.tmp").write_text("{")
    assert empty_folder(tmp_path) == tmp_path
    RunFolder.open(tmp_path, {"seed": 0}).drop_parts()
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("operation", ["open", "fsync", "fchmod", "replace"])
def test_a_disk_that_fails_at_any_operation_leaves_the_old_file_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, error: int
) -> None:
    write_json(tmp_path / "a.json", {"old": 1})

    def fail(*arguments: object, **options: object) -> NoReturn:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patched:
        patched.setattr(os, operation, fail)
        with pytest.raises(RunFolderError) as refused:
            write_json(tmp_path / "a.json", {"new": 1})
    assert str(refused.value) == (
        f"writing {tmp_path / 'a.json'}: {os.strerror(error)}; nothing was left under that name,"
        " free space or choose another --out"
    )
    assert read_json(tmp_path / "a.json") == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_line_that_did_not_fit_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "lines", os.write
    append_line(path, {"a": 1})

    def full(handle: int, line: bytes) -> int:
        if len(line) < 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, line[:4])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(RunFolderError, match="lines: No space left on device; free space"):
            append_line(path, {"b": 2})
    assert path.read_bytes() == b'{"a":1}\n'


def test_a_line_left_broken_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b'{"a":1}\n{"b"')
    append_line(tmp_path / "lines", {"c": 3})
    assert list(read_lines(tmp_path / "lines")) == [{"a": 1}, {"c": 3}]


@pytest.mark.parametrize("operation", ["open", "mkdir", "write"])
def test_a_folder_that_cannot_be_written_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    def fail(*arguments: object, **options: object) -> NoReturn:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    place = tmp_path / "new" / "run"
    with monkeypatch.context() as patched:
        patched.setattr(os, operation, fail)
        with pytest.raises(RunFolderError, match=r"writing .*run: Read-only file system; .* --out"):
            empty_folder(place)
    assert list(tmp_path.iterdir()) == []
    assert empty_folder(place) == place
    assert list(tmp_path.iterdir()) == []
    place.mkdir(parents=True)
    assert empty_folder(place) == place
    assert list(place.iterdir()) == []


def test_a_file_is_no_folder_to_write_in(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunFolderError, match="found a file, expected a folder"):
        require_writable(tmp_path / "file")
    with pytest.raises(RunFolderError, match="Not a directory"):
        require_writable(tmp_path / "file" / "run")
