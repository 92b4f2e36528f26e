"""The only writer of files: canonical bytes, tables, and the folder of a run."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from fulcra import documents
from fulcra.disk import LOCK, Hold, append_whole, occupied, require_writable, write_whole
from fulcra.errors import RunFolderError
from fulcra.tables import FILE_BYTES, table_bytes, table_rows

if TYPE_CHECKING:
    import pyarrow as pa

FLOAT_DIGITS = 6
MANIFEST, AUDIT, COMMITMENT, REPORT = (
    "manifest.json",
    "audit.json",
    "commitment.json",
    "report.html",
)
#: The list of a run's rollouts, shard by shard, and their folder; the one table that stood in their
#: place in runs of the first versions.
ROLLOUTS, SHARDS, WHOLE = "rollouts.json", "rollouts", "rollouts.parquet"
#: Stems of what `fulcra exemplars` and `fulcra compare` write.
EXEMPLARS, COMPARISON = "exemplars", "comparison"
#: What `fulcra gate` decides.
GATE = "gate.json"
#: The sealed form of a run, its page and summary; the salt under it stays with the run's owner.
PUBLIC, PUBLIC_PAGE, PUBLIC_SUMMARY = "public.json", "public.html", "public.md"
PUBLIC_SALT = "public.salt"
#: What `fulcra report` writes of runs side by side.
CHANGES, CHANGES_PAGE, SUMMARY = "changes.json", "changes.html", "summary.md"
#: Completions of a sensitive behavior, where they were asked to be kept; for its owner only.
TEXTS = "texts.parquet"
#: What the hashes of a sensitive behavior's completions are salted with; for its owner only.
SALT = "salt"
#: Where a run's model and behavior came from, and the text of a behavior that is not sensitive.
SOURCE, COPY = "source.json", "behavior.yaml"
#: The digest of every file of a finished run.
SEAL = "seal.json"
#: A run's place in the ledger that its commitment was entered in.
RECEIPT = "ledger.json"
#: What more prompts showed of undetermined branches, and where extensions stand in a run's folder.
EXTENSION, EXTENSIONS = "extension.json", "extensions"
#: What an unfinished run has finished so far, dropped at its end.
PARTS = "parts"
#: What an unfinished run met and went on from; a finished one has it in audit.json.
INCIDENTS = "incidents.json"
PRIVATE = 0o600


def plain(value: Any) -> Any:
    """`value` as JSON knows it: tuples as lists, floats with 6 significant digits, nan and
    infinities as null.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{FLOAT_DIGITS}g}") if math.isfinite(value) else None
    return value


def canonical(value: Any) -> bytes:
    """The one byte form of a value: sorted keys, no spaces, 6 significant digits."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(value: Any) -> str:
    """sha256 of the canonical bytes."""
    return hashlib.sha256(canonical(value)).hexdigest()


def json_bytes(value: Any) -> bytes:
    """The bytes of a readable JSON file, keys in the order given."""
    return (json.dumps(plain(value), indent=1, allow_nan=False) + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    """A readable JSON file, keys in the order given."""
    write_whole(path, json_bytes(value))


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a text as UTF-8, all of it or nothing; with mode PRIVATE for its owner only."""
    write_whole(path, text.encode(), mode)


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes, all of them or none."""
    write_whole(path, data)


def read_json(path: Path) -> Any:
    """What a JSON file holds; RunFolderError when it is missing or broken."""
    try:
        return documents.read_json(documents.read_text(path))
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"reading {path}: {error}; expected a file written by fulcra"
        ) from None


def write_rows(
    path: Path, rows: Sequence[Mapping[str, Any]], schema: "pa.Schema", mode: int = 0o644
) -> None:
    """A parquet file of `rows`; with mode PRIVATE no one but its owner can ever read it."""
    write_whole(path, table_bytes(rows, schema), mode)


def read_rows(path: Path, schema: "pa.Schema | None" = None) -> list[dict[str, Any]]:
    """The rows of a parquet file; RunFolderError where it is none, out of bounds or of other types.

    A column of `schema` may be missing: the first versions wrote fewer.
    """
    return rows_in(path, read_table(path), schema)


def read_table(path: Path) -> bytes:
    """The bytes of a table; RunFolderError where there is no regular file, or too large a one."""
    try:
        return documents.read_bytes(path, FILE_BYTES)
    except (OSError, ValueError) as error:
        raise _no_table(path, error) from None


def rows_in(path: Path, content: bytes, schema: "pa.Schema | None") -> list[dict[str, object]]:
    """The rows of a table by its bytes; RunFolderError names `path` where they are none."""
    try:
        return table_rows(content, schema)
    except ValueError as error:
        raise _no_table(path, error) from None


def _no_table(path: Path, error: Exception) -> RunFolderError:
    return RunFolderError(f"reading {path}: {error}; expected a table written by fulcra")


def require_run(path: Path) -> None:
    """RunFolderError where a path is neither free nor an empty folder nor that of a run."""
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"--out {path}: found a file, expected a folder; choose another")
    if not (path / MANIFEST).is_file() and occupied(path):
        raise RunFolderError(
            f"--out {path}: the folder is not empty and holds no run of fulcra; choose a new one"
        )


def _require_same(path: Path, manifest: Mapping[str, Any]) -> None:
    """RunFolderError where a folder holds a run of another manifest."""
    stored, wanted = read_json(path / MANIFEST), plain(manifest)
    changed = [name for name in {*stored, *wanted} if stored.get(name) != wanted.get(name)]
    if changed:
        raise RunFolderError(
            f"--out {path}: holds another run (different: {', '.join(sorted(changed))});"
            " choose a new folder"
        )


@final
class RunFolder:
    """The folder of one run: a manifest says whose it is; an interrupted run of the same manifest
    goes on in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hold: Hold | None = None

    @classmethod
    def open(cls, path: Path, manifest: Mapping[str, Any]) -> "RunFolder":
        """The folder for this manifest, held by this process until it is dropped or has ended.

        What a killed run left half-written is removed. RunFolderError when the folder belongs to
        another run, holds something else, or another process writes there.
        """
        require_run(path)
        folder = cls(path)
        if not folder.finished:
            folder._hold = Hold.of(path)
        if (path / MANIFEST).is_file():
            _require_same(path, manifest)
        else:
            write_json(path / MANIFEST, manifest)
        if folder.finished:
            folder._tidy()
        return folder

    def _tidy(self) -> None:
        """Remove what a run that was killed in its last steps left beside its results."""
        if (self.path / LOCK).exists() or self.parts.exists():
            with suppress(RunFolderError):
                self._hold = Hold.of(self.path)
                self.drop_parts()

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end: audit.json is written last."""
        return (self.path / AUDIT).is_file()

    @property
    def parts(self) -> Path:
        """Where an unfinished run keeps what is dropped at its end."""
        return self.path / PARTS

    def part(self, name: str) -> Path:
        """Where an unfinished run keeps the rows of one part that are no rollouts."""
        return self.parts / f"{name}.parquet"

    def text_part(self, name: str) -> Path:
        """Where an unfinished run keeps the private words of one part."""
        return self.parts / f"{name}.texts"

    def text_parts(self) -> list[Path]:
        """The private words of all parts."""
        return sorted(self.parts.glob("*.texts"))

    @property
    def incidents(self) -> Path:
        """Where an unfinished run keeps what it met and went on from."""
        return self.path / INCIDENTS

    def has_dosed_parts(self) -> bool:
        """Whether any rollout but the undosed baseline's is on disk."""
        places = (self.path / SHARDS, self.parts / SHARDS)
        shards = [path for place in places for path in place.glob("*.parquet")]
        dosed = any(not path.name.startswith("baseline-") for path in shards)
        return dosed or any((self.path / name).exists() for name in (ROLLOUTS, WHOLE))

    def drop_parts(self) -> None:
        """Remove the parts of a finished run, and let the folder go.

        Shards stay where they are listed as its rollouts.
        """
        self.incidents.unlink(missing_ok=True)
        shutil.rmtree(self.parts, ignore_errors=True)
        if not (self.path / ROLLOUTS).exists():
            shutil.rmtree(self.path / SHARDS, ignore_errors=True)
        if self._hold is not None:
            self._hold.release()


def cache_folder() -> Path:
    """$FULCRA_CACHE, or fulcra under the user's cache folder."""
    return Path(
        os.environ.get("FULCRA_CACHE")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fulcra"
    )


def append_line(path: Path, value: Any) -> None:
    """One more JSON line at the end of a private file; a line is written whole or not at all."""
    line = canonical(value) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, PRIVATE)
        try:
            with suppress(OSError):
                os.fchmod(handle, PRIVATE)
            append_whole(handle, line)
        finally:
            os.close(handle)
    except OSError as error:
        raise RunFolderError(
            f"writing {path}: {error.strerror or error}; free space or set FULCRA_CACHE to another"
            " folder"
        ) from None


def read_lines(path: Path) -> Iterator[Any]:
    """The values of a file of JSON lines; none where it is missing.

    A line that an interruption left broken is passed over.
    """
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with suppress(ValueError):
            yield documents.read_json(line.decode())


def fresh_folder(root: Path, name: str) -> Path:
    """The first of root/name-1, root/name-2, ... that does not exist."""
    number = 1
    while (root / f"{name}-{number}").exists():
        number += 1
    return root / f"{name}-{number}"


def empty_folder(path: Path) -> Path:
    """The path itself, which must be free or an empty folder in which files can be written.

    RunFolderError where it is not; nothing is made yet.
    """
    if path.exists() and (not path.is_dir() or occupied(path)):
        fault = "the folder is not empty" if path.is_dir() else "found a file, expected a folder"
        raise RunFolderError(f"--out {path}: {fault}; choose a new one")
    require_writable(path)
    return path
