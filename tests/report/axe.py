"""The accessibility checker axe-core, fetched once by name and known by its hash."""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

VERSION = "4.14.1"
SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "axe" / VERSION / "axe.min.js"


def axe_script() -> str:
    """The script, from the cache where it stands; the test is skipped where it cannot be had."""
    if not CACHE.is_file():
        _fetch()
    script = CACHE.read_bytes()
    assert hashlib.sha256(script).hexdigest() == SHA256, f"{CACHE} is not axe-core {VERSION}"
    return script.decode()


def _fetch() -> None:
    if shutil.which("npm") is None:
        pytest.skip("axe-core is fetched by npm, which is not installed")
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        command = ["npm", "pack", "--silent", f"axe-core@{VERSION}"]
        if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode:
            pytest.skip(f"axe-core {VERSION} cannot be had from the package index now")
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            archive.extract("package/axe.min.js", folder, filter="data")
        (Path(folder) / "package" / "axe.min.js").replace(CACHE)
