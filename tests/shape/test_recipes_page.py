"""docs/recipes.md and recipes-again.md, figures and archives are what docs/evidence says."""

import json
import tarfile
from pathlib import Path

import pytest

from fulcra.defence.recipes.entries import RecipesResult
from fulcra.defence.recipes.study import AGAIN, ROW, SHIPPED, read_design
from fulcra.report.figures.ways_chart import ways_chart
from fulcra.report.recipes import recipes_page

DOCS = Path(__file__).parents[2] / "docs"
STUDIES = pytest.mark.parametrize("design", [SHIPPED, AGAIN], ids=lambda path: path.stem)


@STUDIES
def test_the_page_of_a_study_and_its_figure_are_what_the_evidence_says(design: Path) -> None:
    name = design.stem
    result = RecipesResult.load(DOCS / "evidence" / name)
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8") == recipes_page(result)
    assert (DOCS / "images" / f"{name}.svg").read_text(encoding="utf-8") == ways_chart(result)


@STUDIES
def test_the_archives_hold_the_rows_of_the_study_as_it_was_registered(design: Path) -> None:
    evidence = DOCS / "evidence" / design.stem
    result = RecipesResult.load(evidence)
    assert result.design == read_design(design)
    rows = {}
    for way in result.design.organisms:
        with tarfile.open(evidence / f"{way}.tar.xz") as archive:
            for name in result.design.organisms[way]:
                file = archive.extractfile(f"{name}/{ROW}")
                assert file is not None
                rows[name] = json.load(file)
    assert rows == {row.organism: row.plain() for row in result.rows}
