"""What stands on the disk after every file operation of a run: all that a kill -9 can leave."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

#: Every way in which Python changes a file, a name or a folder, and the opening of files.
OPERATIONS = (
    *("open", "mkdir", "write", "pwrite", "ftruncate", "chmod", "fchmod", "fsync"),
    *("replace", "rename", "link", "unlink", "remove", "rmdir"),
)
#: The random letters in the name of a file that is being written.
RANDOM = re.compile(r"\.[a-z0-9_]{8}\.tmp$")


class State(NamedTuple):
    """The n-th file operation of a run, and a copy of all files as it left them."""

    number: int
    operation: str
    root: Path


class Moments:
    """The states of a folder while a run goes on in it, equal ones kept once."""

    def __init__(self, root: Path, copies: Path) -> None:
        self.root, self.copies = root, copies
        self.operations = 0
        self.states: list[State] = []
        self._last = ""

    def after(self, operation: str, target: str) -> None:
        """One more operation is done."""
        self.operations += 1
        content = digest_of(self.root)
        if content != self._last:
            self._last = content
            copy = self.copies / str(self.operations)
            shutil.copytree(self.root, copy)
            self.states.append(State(self.operations, f"{operation} {target}", copy))


@contextmanager
def watched(after: Callable[[str, str], None]) -> Iterator[None]:
    """A block in which `after` hears of every file operation, with its last path, once done."""
    real = {name: getattr(os, name) for name in OPERATIONS}
    busy = False

    def wrapped(name: str) -> Callable[..., object]:
        def operation(*arguments: object, **options: object) -> object:
            nonlocal busy
            result = real[name](*arguments, **options)
            if not busy:
                busy = True
                paths = [os.fspath(p) for p in arguments if isinstance(p, (str, os.PathLike))]
                after(name, str(paths[-1]) if paths else "")
                busy = False
            return result

        return operation

    with patch.multiple(os, **{name: wrapped(name) for name in OPERATIONS}):
        yield


def digest_of(root: Path) -> str:
    """Hash of the names and bytes of all files and folders below a folder."""
    content = hashlib.sha256()
    for name, data in sorted(files_of(root).items()):
        content.update(f"{RANDOM.sub('.tmp', name)} {data is None}\n".encode() + (data or b""))
    return content.hexdigest()


def files_of(root: Path) -> dict[str, bytes | None]:
    """The bytes of every file below a folder, by its path; None for a folder."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }
