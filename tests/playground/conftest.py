"""A workbench over the bundled organism and one audit of it; a desk of its own for each test."""

from pathlib import Path

import pytest

from fulcra import Behavior, Model
from fulcra.playground.desk import Desk
from fulcra.playground.workbench import Choice, Workbench

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence" / "audit-sparse"
#: A branch that the audit opened.
OPEN = "L2.N307-"


@pytest.fixture(scope="session")
def bench(sparse: Model, refusal: Behavior) -> Workbench:
    made = Workbench(sparse, [refusal])
    made.load_run(EVIDENCE)
    return made


@pytest.fixture
def desk(bench: Workbench) -> Desk:
    return Desk(bench)


@pytest.fixture
def choice() -> Choice:
    """The opened branch, its window as the audit committed it."""
    return Choice("refusal", EVIDENCE.name, OPEN)
