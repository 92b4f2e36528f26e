"""The page of interventions is that of the shipped figures, and the figures are read back whole."""

import json

import pytest

from fulcra.protocol.results.interventions import InterventionRow, InterventionsResult
from fulcra.report.interventions import interventions_markdown
from fulcra.store import read_json
from tests.conftest import ROOT

EVIDENCE = ROOT / "docs" / "evidence" / "effects.json"


@pytest.fixture
def shipped() -> InterventionsResult:
    return InterventionsResult.load(EVIDENCE)


def test_the_shipped_figures_are_read_back_whole(shipped: InterventionsResult) -> None:
    assert json.dumps(shipped.plain(), indent=1) + "\n" == EVIDENCE.read_text()
    assert repr(shipped).count("\n") <= 5
    assert "matched at 50%: 13 of 14" in repr(shipped)


def test_the_shipped_page_is_that_of_the_shipped_figures(shipped: InterventionsResult) -> None:
    page = (ROOT / "docs" / "effects.md").read_text()
    assert interventions_markdown(shipped) == page
    assert shipped.pages() == {"interventions.md": page}


def test_the_page_has_a_row_for_every_intervention() -> None:
    none = {
        "model": "m",
        "behavior": "b",
        "intervention": "none",
        "site": "",
        "dose": 0.0,
        "matched": False,
        "selection_rate": None,
        "behavior_rate": 0.0,
        "low": 0.0,
        "high": 0.2,
        "n": 16,
        "reach": 0.0,
        "collapse": 0.0,
        "quality": None,
        "generic_quality": 1.0,
        "surprise": 0.4,
        "accuracy": 1.0,
        "over_refusal": 0.0,
        "kl_per_token": 0.0,
    }
    pin = none | {"intervention": "pin", "site": "L2.N3", "dose": -2.0, "matched": True}
    rows = tuple(InterventionRow.model_validate(row) for row in (none, pin))
    page = interventions_markdown(
        InterventionsResult.model_validate(
            {**read_json(EVIDENCE), "target": 0.5, "rows": [row.plain() for row in rows]}
        )
    )
    assert "## m, b (16 confirmation prompts)" in page
    assert "| none |  |  |  | 0.00 (0.00-0.20) | 0.00 | - | 0.40 | 0.00 | 1.00 | 0.00 |" in page
    assert "| pin | L2.N3 | -2 | yes |" in page
