"""The page of behaviors for chat models: what the shipped evidence says, to the letter."""

from pathlib import Path

import pytest

from fulcra.behaviors import behavior_sha256, chat_behavior_names, load_behavior
from fulcra.protocol.results.fitness import FitnessTable
from fulcra.report.fitness import behaviors_markdown

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shipped() -> FitnessTable:
    return FitnessTable.load(ROOT / "docs" / "evidence" / "real" / "behaviours.json")


def test_the_page_is_the_one_of_the_evidence(shipped: FitnessTable) -> None:
    page = (ROOT / "docs" / "behaviours.md").read_text(encoding="utf-8")
    assert behaviors_markdown(shipped) == page, "run `make behaviours`"


def test_the_evidence_is_of_the_bundled_behaviors_as_they_are(shipped: FitnessTable) -> None:
    tried = {result.behavior.name: result.behavior.sha256 for result in shipped.tried}
    bundled = {b.name: behavior_sha256(b) for b in map(load_behavior, chat_behavior_names())}
    assert tried == bundled


def test_eight_behaviors_or_more_are_fit_on_a_real_chat_model(shipped: FitnessTable) -> None:
    fit = [result for result in shipped.tried if result.fit]
    assert len(fit) >= 8
    assert all(r.flipped.rate <= 0.1 and r.best_control.flipped.rate >= 0.5 for r in fit)
