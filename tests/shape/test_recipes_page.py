"""docs/recipes.md and recipes-again.md, figures and archives are what docs/evidence says."""

import json
import re
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


@STUDIES
def test_a_name_in_the_figure_covers_no_way_and_no_other_name(design: Path) -> None:
    drawing = (DOCS / "images" / f"{design.stem}.svg").read_text(encoding="utf-8")
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="5"', drawing)
    texts = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" paint-order[^>]*>([^<]+)<', drawing)
    boxes = [(float(x) - 4, float(y) - 4, float(x) + 4, float(y) + 4) for x, y in dots]
    boxes += [(float(x), float(y) - 10, float(x) + 6 * len(name), float(y)) for x, y, name in texts]
    assert len(texts) == 13
    for place in range(len(dots), len(boxes)):
        left, top, right, bottom = boxes[place]
        assert not [
            box
            for box in boxes[:place]
            if box[0] < right and left < box[2] and box[1] < bottom and top < box[3]
        ]
