"""The shipped study: of the shipped split, as large as it must be, its figures those of its rows,
its page that of its figures.
"""

from typing import Any

import pytest

from fulcra.backtest.scoring import (
    baseline_scores,
    ceiling_scores,
    kl_at_ceiling,
    noise_floor,
    verdict_scores,
)
from fulcra.backtest.split import read_split
from fulcra.backtest.targets import targets
from fulcra.report.validation import validation_markdown, validation_plots
from fulcra.store import plain, read_json
from tests.conftest import ROOT

EVIDENCE = ROOT / "docs" / "evidence" / "validation.json"


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    return dict(read_json(EVIDENCE))


@pytest.fixture(scope="module")
def held(study: dict[str, Any]) -> set[str]:
    return {lineage["name"] for lineage in study["split"]["held_out"]}


def test_it_is_the_whole_study_of_the_shipped_split(study: dict[str, Any], held: set[str]) -> None:
    assert study["split_sha256"] == read_split(ROOT / "validation" / "split.yaml").sha256
    assert (study["reduced"], study["missing"]) == (False, [])
    assert len(held) >= 6
    assert sum(row["lineage"] in held for row in study["rows"]["ceilings"]) >= 1000
    assert sum(row["lineage"] in held for row in study["rows"]["verdicts"]) >= 200


def test_the_figures_of_ceilings_are_those_of_the_rows(
    study: dict[str, Any], held: set[str]
) -> None:
    rows = [row for row in study["rows"]["ceilings"] if row["lineage"] in held]
    assert plain(ceiling_scores(rows, study["settings"]["seed"])) == study["ceilings"]["held_out"]
    assert plain(noise_floor(rows)) == study["noise_floor"]["held_out"]
    for name in held:
        assert (
            plain(kl_at_ceiling([row for row in rows if row["lineage"] == name]))
            == study["kl_at_ceiling"][name]
        )


def test_the_figures_of_verdicts_are_those_of_the_rows_whose_protocol_held(
    study: dict[str, Any], held: set[str]
) -> None:
    reproduced = {(one["model"], one["behavior"]) for one in study["protocol"] if one["reproduced"]}
    rows = [
        row
        for row in study["rows"]["verdicts"]
        if row["lineage"] in held and (row["model"], row["behavior"]) in reproduced
    ]
    assert plain(verdict_scores(rows, study["settings"]["seed"])) == study["verdicts"]["held_out"]
    assert plain(baseline_scores(rows)) == study["baselines"]["held_out"]
    assert [target._asdict() for target in targets(study)] == study["targets"]


def test_the_page_and_its_plots_are_those_of_the_figures(study: dict[str, Any]) -> None:
    assert (ROOT / "docs" / "validation.md").read_text(encoding="utf-8") == validation_markdown(
        study
    )
    for name, drawing in validation_plots(study).items():
        assert (ROOT / "docs" / "images" / f"{name}.svg").read_text(encoding="utf-8") == drawing
