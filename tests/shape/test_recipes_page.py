"""docs/recipes.md, its figure and its archives are what docs/evidence/recipes says."""

import json
import tarfile
from pathlib import Path

from fulcra.defence.recipes.entries import RecipesResult
from fulcra.defence.recipes.study import ROW, SHIPPED, read_design
from fulcra.report.figures.ways_chart import ways_chart
from fulcra.report.recipes import recipes_page

DOCS = Path(__file__).parents[2] / "docs"
EVIDENCE = DOCS / "evidence" / "recipes"


def test_the_page_of_recipes_and_its_figure_are_what_the_evidence_says() -> None:
    result = RecipesResult.load(EVIDENCE)
    assert (DOCS / "recipes.md").read_text(encoding="utf-8") == recipes_page(result)
    assert (DOCS / "images" / "recipes.svg").read_text(encoding="utf-8") == ways_chart(result)


def test_the_archives_hold_the_rows_of_the_study_as_it_was_registered() -> None:
    result = RecipesResult.load(EVIDENCE)
    assert result.design == read_design(SHIPPED)
    rows = {}
    for way in result.design.organisms:
        with tarfile.open(EVIDENCE / f"{way}.tar.xz") as archive:
            for name in result.design.organisms[way]:
                file = archive.extractfile(f"{name}/{ROW}")
                assert file is not None
                rows[name] = json.load(file)
    assert rows == {row.organism: row.plain() for row in result.rows}
