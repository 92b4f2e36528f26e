"""Under which code and versions a result was made; read without loading any library."""

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple


class Versions(NamedTuple):
    """The versions under which a result was made; `code` hashes the package's source files."""

    fulcra: str
    code: str
    commit: str | None
    torch: str
    transformers: str
    python: str


@cache
def code_version() -> str:
    """Hash of the package's source files: the same code gives the same run."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
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
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
