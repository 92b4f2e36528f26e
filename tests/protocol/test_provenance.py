"""The code's hash is that of every file that decides a result, tables of words included."""

from pathlib import Path

import pytest

import fulcra
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
