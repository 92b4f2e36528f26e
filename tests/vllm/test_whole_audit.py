"""`fulcra audit --engine vllm`: the local audit's numbers, and what it says of its engine."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fulcra import AuditSettings, Behavior, Model

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_an_audit_by_vllm_is_the_local_one_and_names_its_engine(
    sparse: "Model", refusal: "Behavior", tiny: "AuditSettings", audited: Path, tmp_path: Path
) -> None:
    from fulcra import audit
    from fulcra.engines.engine import rolled_by
    from fulcra.engines.vllm import VllmEngine

    with rolled_by(sparse, VllmEngine(sparse)):
        audit(sparse, refusal, tiny, tmp_path / "run")
    mine, local = (json.loads((f / "audit.json").read_text()) for f in (tmp_path / "run", audited))
    assert mine["provenance"]["engine"]["name"] == "vllm"
    assert mine["provenance"]["engine"]["version"].startswith("0.32.")
    # the plan names an engine whose tokens need not be the local ones, so it is another commitment
    hashes = {result["summary"].pop("commitment_sha256") for result in (mine, local)}
    assert len(hashes) == 2
    assert mine["summary"] == local["summary"]
    assert mine["neurons"] == local["neurons"]
