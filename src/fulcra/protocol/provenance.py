"""Under which code and versions a result was made; read without loading any library."""

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

#: The files of the package that decide what a run finds; weights have a hash of their own.
DECISIVE = ("*.py", "*.yaml")


class Versions(NamedTuple):
    """The versions under which a result was made; `code` is `code_version`."""

    fulcra: str
    code: str
    commit: str | None
    torch: str
    transformers: str
    python: str


@cache
def code_version() -> str:
    """Hash of the package's code and tables: the same code gives the same run."""
    return source_hash(Path(__file__).parent.parent)


def source_hash(root: Path) -> str:
    """Hash of every file below a package's folder that decides what a run finds."""
    digest = hashlib.sha256()
    for path in sorted(path for kind in DECISIVE for path in root.rglob(kind)):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def versions() -> Versions:
    """The versions that are installed now, of fulcra and what it rests on."""
    return Versions(
        version("fulcra"),
        code_version(),
        _commit(),
        version("torch"),
        version("transformers"),
        platform.python_version(),
    )


def _commit() -> str | None:
    """The commit of the checkout that this source is tracked in; None anywhere else.

    A package installed below somebody's own checkout is no part of it.
    """
    here = Path(__file__)
    try:
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        return _git(here.parent, "rev-parse", "HEAD").strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
