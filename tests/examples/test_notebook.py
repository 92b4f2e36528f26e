"""The notebook of the papers' figures runs cell by cell, and its figures show what they say."""

import ast
import json
from pathlib import Path
from statistics import median
from typing import NamedTuple

import plotly.graph_objects as go
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BOOK = EXAMPLES / "figures.ipynb"
#: Where the notebook looks for the real chat model, and how many of its neurons it doses; the test
#: takes three.
REAL, DOSED = ".cache/real/", "sample(model, 12)"
Curves = dict[str, list[dict[str, float]]]


class Shown(NamedTuple):
    """The figures that end a cell, in order, and the measured rows of the first."""

    figures: list[go.Figure]
    curves: Curves


def code() -> list[str]:
    cells = json.loads(BOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run(cells: list[str]) -> Shown:
    """What the cells show, as a notebook does: the value of an expression that ends one."""
    names: dict[str, object] = {}
    figures = []
    for cell in cells:
        tree = ast.parse(cell)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, BOOK.name, "exec"), names)
        if isinstance(last, ast.Expr):
            figures.append(eval(compile(ast.Expression(last.value), BOOK.name, "eval"), names))
    curves = names["curves"]
    assert isinstance(curves, dict)
    return Shown(figures, curves)


@pytest.fixture(scope="module")
def shown() -> Shown:
    """The notebook without the real chat model, wherever that is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(EXAMPLES)
        return run([cell.replace(REAL, "absent/") for cell in code()])


def deviation(rows: list[dict[str, float]]) -> float:
    """The median distance of measured alignments from the law's."""
    return median(abs(row["cos"] - row["law"]) for row in rows)


@pytest.mark.slow
def test_measured_alignments_lie_where_the_law_puts_them(shown: Shown) -> None:
    assert list(shown.curves) == ["apothecary-sparse"]
    assert deviation(shown.curves["apothecary-sparse"]) < 0.05


@pytest.mark.slow
def test_every_ceiling_on_the_ladder_is_a_point(shown: Shown) -> None:
    points = [trace for trace in shown.figures[1].data if trace.mode == "markers"]
    lineages, layers = points[:6], points[6:]
    assert (len(lineages), len(layers)) == (6, 3)
    assert [sum(len(trace.x) for trace in group) for group in (lineages, layers)] == [984, 240]


@pytest.mark.slow
def test_the_outcomes_of_every_dose_and_horizon_are_all_of_its_replies(shown: Shown) -> None:
    bars = shown.figures[2].data
    panels = {(bar.xaxis, bar.yaxis) for bar in bars}
    assert len(panels) == 4
    for panel in panels:
        shares = [bar.y for bar in bars if (bar.xaxis, bar.yaxis) == panel]
        assert [sum(rung) for rung in zip(*shares, strict=True)] == pytest.approx([1.0] * 10)


@pytest.mark.real
@pytest.mark.slow
def test_the_real_chat_model_follows_the_law_too(
    real_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(EXAMPLES)
    assert "".join(code()).count(DOSED) == 1
    assert REAL in "".join(code())
    cells = [cell.replace(DOSED, "sample(model, 3)") for cell in code()]
    curves = run([cell.replace(REAL, f"{real_gguf.parent}/") for cell in cells]).curves
    assert len(curves["SmolLM2-135M"]) == 3 * 7
    assert deviation(curves["SmolLM2-135M"]) < 0.05


def test_nothing_that_a_run_printed_is_stored_in_it() -> None:
    cells = json.loads(BOOK.read_text(encoding="utf-8"))["cells"]
    stored = [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    assert not stored
    assert BOOK.name in (EXAMPLES / "README.md").read_text(encoding="utf-8")
