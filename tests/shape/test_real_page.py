"""The page of the real chat model says what stands in its evidence, and nothing else."""

import pytest

from fulcra.protocol.results.model_ceilings import ModelCeilings
from fulcra.protocol.witness.ledger import ledger_at
from fulcra.store import digest, read_json
from tools.real_page.__main__ import EVIDENCE, PAGE, page


def test_the_page_is_the_one_that_the_evidence_gives() -> None:
    assert PAGE.read_text() == page(), "write it again: python -m tools.real_page"


def test_the_ceilings_were_predicted_as_the_ledger_has_it() -> None:
    study, stored = ModelCeilings.load(EVIDENCE), read_json(EVIDENCE / "predictions.json")
    assert digest(stored["content"]) == stored["sha256"] == study.predictions_sha256
    assert [row.branch for row in study.rows] == stored["content"]["branches"]
    for name, gains in stored["content"]["predicted"].items():
        rows = [row.predicted[name] for row in study.rows]
        assert rows == pytest.approx(gains, rel=1e-5), name
    first, last = ledger_at(EVIDENCE).sound().entries
    assert first.commitment == last.commitment == study.predictions_sha256
    assert (first.kind, last.kind) == ("commitment", "outcome")
