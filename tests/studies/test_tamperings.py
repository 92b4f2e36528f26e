"""Every tampering of a finished run is noticed, or named in docs/verify.md as not covered."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fulcra import AuditResult, verify
from fulcra.errors import RunFolderError
from fulcra.protocol.seal import read_seal, write_seal
from fulcra.store import AUDIT, REPORT, write_text
from tests.studies.tamperings import RESEALED, TAMPERINGS

DOCS = Path(__file__).parents[2] / "docs" / "verify.md"


def page_of(audit: AuditResult) -> str:
    """A page that says all that the report says, and is drawn at once."""
    return f"<html><title>{audit.json_text()}</title><script></script><body></body></html>"


@pytest.fixture(scope="module")
def quick(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The finished tiny audit with a page that is drawn at once."""
    folder = tmp_path_factory.mktemp("quick") / "run"
    shutil.copytree(audited, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fulcra.report.page.render_report", page_of)
        assert resealed(folder)
        assert not failing(folder)
        yield folder


@pytest.fixture
def spoiled(quick: Path, tmp_path: Path) -> Path:
    """A copy of the finished tiny audit that a test may spoil."""
    return Path(shutil.copytree(quick, tmp_path / "spoiled"))


def failing(folder: Path, root: str | None = None) -> set[str]:
    """The checks that a second look fails; "refused" where it refuses the folder in one line."""
    try:
        return {check.name for check in verify(folder, root) if not check.passed}
    except RunFolderError as error:
        return {f"refused in {len(str(error).splitlines())} line"}


def resealed(folder: Path) -> bool:
    """Whether the report could be drawn and the run sealed anew, with the project's functions."""
    try:
        result = AuditResult.load(folder)
        write_text(folder / REPORT, result.pages()[REPORT])
        write_seal(folder, result)
    except (LookupError, RunFolderError, TypeError, ValueError):
        return False
    return True


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampering_is_noticed_by_digests_and_sealed_anew_by_what_is_made_again_or_the_root(
    spoiled: Path, name: str
) -> None:
    seal, before = read_seal(spoiled), contents(spoiled)
    assert seal is not None
    TAMPERINGS[name](spoiled)
    assert failing(spoiled), "noticed by the seal as it was"
    if not resealed(spoiled):
        return
    faults = failing(spoiled, seal.root)
    assert bool(faults - {"root as noted"}) == (name not in RESEALED), faults
    assert bool(faults) == (contents(spoiled) != before)


def test_what_a_new_seal_hides_is_named_in_the_docs() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert [name for name in RESEALED if f"`{name}`" not in page] == []
    assert len(TAMPERINGS) >= 100


def test_every_number_of_the_audit_is_covered(spoiled: Path) -> None:
    content = (spoiled / AUDIT).read_text(encoding="utf-8")
    lines = [i for i, line in enumerate(content.splitlines()) if any(map(str.isdigit, line))]
    for place in random.Random(1).sample(lines, 6):
        changed = content.splitlines()
        changed[place] = turned(changed[place])
        write_text(spoiled / AUDIT, "\n".join(changed) + "\n")
        assert failing(spoiled), changed[place]


def turned(line: str) -> str:
    """The line with its last digit another one."""
    place = max(i for i, letter in enumerate(line) if letter.isdigit())
    return f"{line[:place]}{(int(line[place]) + 1) % 10}{line[place + 1 :]}"
