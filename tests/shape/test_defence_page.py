"""docs/defence.md is what its tool writes from the evidence that stands beside it."""

import tarfile
from pathlib import Path

import pytest

from fulcra.protocol.results.gate import GateResult
from fulcra.release.gate import gate
from fulcra.release.policy import load_policy
from tools.defence_page import ORGANISMS, hardened, page

DOCS = Path(__file__).parents[2] / "docs"
EVIDENCE = DOCS / "evidence"
ARCHIVES = sorted((EVIDENCE / "hardened").glob("*.tar.xz"))


def test_the_page_of_defences_is_what_its_evidence_says() -> None:
    assert (DOCS / "defence.md").read_text(encoding="utf-8") == page()


@pytest.mark.slow
@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name.split(".")[0])
def test_the_archived_audits_of_a_hardening_are_gated_as_the_page_says(
    archive: Path, tmp_path: Path
) -> None:
    with tarfile.open(archive) as runs:
        runs.extractall(tmp_path, filter="data")
    gates = [GateResult.load(path) for path in (EVIDENCE / "gates").glob("*.json")]
    for name in ("before", "hardened"):
        result = gate(tmp_path / name, load_policy("release"))
        then = [each for each in gates if each.run.seal == result.run.seal]
        assert [each.decision for each in then] == [result.decision]
        # the last limit counts checks: other code recomputes fewer of them
        assert [each.plain()["limits"][:-1] for each in then] == [result.plain()["limits"][:-1]]
        sides = [side.commitment for each in hardened() for side in each.sides if side.side == name]
        assert result.run.commitment_sha256 in sides


def test_every_hardened_organism_whose_audits_are_named_has_them_archived() -> None:
    named = {
        f"seed{each.settings.seed}.tar.xz"
        for each in hardened()
        if each.model.name in ORGANISMS and each.sides[-1].commitment
    }
    assert {path.name for path in ARCHIVES} == named
