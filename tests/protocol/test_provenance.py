"""The code's hash is that of every file that decides a result, tables of words included."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fulcra
from fulcra.protocol import provenance
from fulcra.protocol.provenance import code_version, source_hash, versions


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "domains").mkdir()
    (tmp_path / "audit.py").write_text("GAINS = (0.1,)\n")
    (tmp_path / "domains" / "harbor.yaml").write_text("greetings: [hello]\n")
    (tmp_path / "page.html").write_text("<p>")
    return tmp_path


@pytest.mark.parametrize("name", ["audit.py", "domains/harbor.yaml"])
def test_a_changed_file_of_code_or_words_is_another_version(package: Path, name: str) -> None:
    before = source_hash(package)
    path = package / name
    path.write_text(path.read_text() + "# changed\n")
    assert source_hash(package) != before
    path.rename(path.with_stem("renamed"))
    assert source_hash(package) != before


def test_what_decides_no_result_leaves_the_version_alone(package: Path) -> None:
    before = source_hash(package)
    (package / "page.html").write_text("<p>another page</p>")
    assert source_hash(package) == before


def test_the_version_is_that_of_the_whole_package() -> None:
    root = Path(fulcra.__file__).parent
    assert code_version() == source_hash(root) == versions().code
    assert list(root.rglob("*.yaml"))


def test_a_package_below_a_checkout_of_somebody_else_has_no_commit(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    place = tmp_path / "site"
    source = Path(provenance.__file__).parents[1]
    shutil.copytree(source / "protocol", place / "fulcra" / "protocol")
    for name in ("__init__.py", "errors.py", "disk.py", "documents.py", "store.py", "tables.py"):
        shutil.copy(source / name, place / "fulcra" / name)
    script = (
        f"import sys; sys.path.insert(0, {str(place)!r});"
        " from fulcra.protocol import provenance; print(provenance.__file__, provenance._commit())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    file, commit = done.stdout.split()
    assert Path(file).is_relative_to(place)
    assert commit == "None"
