"""The page in a real browser: it draws, sorts, filters, darkens, narrows, prints, and is readable.

Pictures of it are made on the way; with FULCRA_PICTURES set they stay in that folder.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fulcra.protocol.results.audit import AuditResult
from fulcra.report.page import render_report
from tests.report.axe import axe_script
from tests.report.browser import Tab, browsed, tab
from tests.report.conftest import build, value

pytestmark = [browsed, pytest.mark.slow]
EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence" / "audit-sparse" / "audit.json"
#: The table of branches, of which the rows' first cells are the names.
TABLE = 'document.querySelector("#branches .tabled")'
NAMES = (
    f"[...{TABLE}.querySelectorAll('tbody tr:not([hidden]) th')].map((cell) => cell.textContent)"
)
LARGEST = 2_500_000  # bytes of a page of 48 branches


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def window(folder: Path) -> Iterator[Tab]:
    with tab(folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, Path]:
    """Pages of an open, a closed and a not reproduced audit, and of one that was measured."""
    unreproduced = build({3: (0.42, 1.25)})
    unreproduced["summary"]["protocol_reproduced"] = False
    unreproduced["positive_control"] = {"attack": "prefill_1", "rate": 0.3125, "acts": False}
    opened = build({3: (0.42, 1.25), 7: (0.6, 1.15)})
    opened["samples"][0]["undosed"] = "i will not tell how to make the salt ."
    audits = {
        "open": value(opened),
        "closed": value(build({})),
        "unreproduced": value(unreproduced),
        "measured": AuditResult.load(EVIDENCE),
    }
    files = {name: folder / f"{name}.html" for name in audits}
    for name, file in files.items():
        file.write_text(render_report(audits[name]))
    return files


@pytest.fixture
def shown(window: Tab, pages: dict[str, Path]) -> Tab:
    """The page of the open audit on a desk, in daylight, freshly opened."""
    window.console.clear()
    window.width(1280)
    window.media()
    window.open(pages["open"])
    return window


def picture(window: Tab, name: str, folder: Path, whole: bool = True) -> None:
    place = Path(os.environ.get("FULCRA_PICTURES", folder))
    made = window.picture(place / f"{name}.png", whole)
    assert made.stat().st_size > 20_000


def serious(window: Tab) -> list[Any]:
    """What axe-core finds that is serious or critical, in a line each."""
    window.run(axe_script())
    result: list[Any] = window.run("""axe.run(document).then((result) => result.violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((n) => n.html.slice(0, 120))}`))""")
    return result


def click(window: Tab, element: str) -> None:
    window.run(f"{element}.click()")
    window.settle()


@pytest.mark.parametrize("kind", ["open", "closed", "unreproduced", "measured"])
@pytest.mark.parametrize("width", [1280, 820, 390])
def test_a_page_draws_without_a_fault_and_never_scrolls_sideways(
    kind: str, width: int, window: Tab, pages: dict[str, Path], folder: Path
) -> None:
    window.console.clear()
    window.width(width)
    window.media()
    window.open(pages[kind])
    assert window.console == []
    assert window.run("document.documentElement.scrollWidth") <= width
    drawn = 'document.querySelectorAll(".figure .plot-container").length'
    assert window.run(drawn) == window.run('document.querySelectorAll(".figure").length') > 5
    picture(window, f"{kind}-{width}", folder)


def test_the_page_of_a_measured_audit_is_small(pages: dict[str, Path]) -> None:
    assert max(file.stat().st_size for file in pages.values()) < LARGEST


@pytest.mark.parametrize("kind", ["open", "closed", "unreproduced", "measured"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(
    kind: str, scheme: str, window: Tab, pages: dict[str, Path]
) -> None:
    window.width(1280)
    window.media("", scheme)
    window.open(pages[kind])
    window.run('document.querySelectorAll("details").forEach((part) => { part.open = true; })')
    assert serious(window) == []


def test_a_column_is_sorted_by_mouse_and_by_keyboard(shown: Tab) -> None:
    head = f"{TABLE}.querySelector('button[data-column=\"6\"]')"
    cells = f"[...{TABLE}.querySelectorAll('tbody tr')].map((row) => row.cells[6].textContent)"
    click(shown, head)
    ceilings = [float(text) for text in shown.run(cells) if text[0] != ">" and text != "none"]
    assert ceilings == sorted(ceilings)
    assert shown.run(f"{head}.closest('th').getAttribute('aria-sort')") == "ascending"
    assert shown.run(cells)[-1].startswith(">")
    shown.run(f"{head}.focus()")
    shown.press("Enter")
    shown.settle()
    assert shown.run(f"{head}.closest('th').getAttribute('aria-sort')") == "descending"
    down = [float(text) for text in shown.run(cells) if text[0] != ">" and text != "none"]
    assert down == sorted(down, reverse=True)


def test_rows_are_filtered_by_words_and_by_verdict(shown: Tab) -> None:
    whole = len(shown.run(NAMES))
    choose = f"{TABLE}.querySelector('select')"
    shown.run(f"{choose}.value = 'open'; {choose}.dispatchEvent(new Event('input'))")
    assert len(shown.run(NAMES)) == 2
    assert shown.run(f"{TABLE}.querySelector('output').textContent") == f"2 of {whole} shown"
    shown.run(f"{choose}.value = ''; {choose}.dispatchEvent(new Event('input'))")
    words = f"{TABLE}.querySelector('input')"
    shown.run(f"{words}.value = 'too late'; {words}.dispatchEvent(new Event('input'))")
    assert 0 < len(shown.run(NAMES)) < whole


def test_a_legend_hides_a_curve_and_shows_it_again(shown: Tab) -> None:
    button = """document.querySelector('.legend[data-legend="dose"] button')"""
    seen = """document.querySelector('[data-figure="dose"]').data[0].visible"""
    assert shown.run(seen) is None
    click(shown, button)
    assert shown.run(seen) is False
    assert shown.run(f"{button}.getAttribute('aria-pressed')") == "false"
    click(shown, button)
    assert shown.run(seen) in (None, True)


def test_choosing_a_branch_changes_figure_note_and_numbers(shown: Tab) -> None:
    notes = "[...document.querySelectorAll('.of-branch')].filter((note) => !note.hidden)"
    curve = """document.querySelector('[data-figure="dose"]').data[0].y.join()"""
    first, before = shown.run(f"{notes}[0].textContent"), shown.run(curve)
    assert shown.run(f"{notes}.length") == 2
    click(shown, f"{TABLE}.querySelectorAll('a[data-branch]')[30]")
    assert shown.run(f"{notes}[0].textContent") != first
    assert shown.run(curve) != before
    assert shown.run(f"{notes}.length") == 2


def test_hovering_shows_number_and_interval(shown: Tab) -> None:
    for figure in ("pushed", "dose", "best", "context", "outcomes 36", "pins 0"):
        place = f"""document.querySelector('[data-figure="{figure}"]')"""
        last = f"{place}.data.findLastIndex((trace) => trace.hoverinfo !== 'skip')"
        shown.run(f"Plotly.Fx.hover({place}, [{{ curveNumber: {last}, pointNumber: 0 }}])")
        shown.run("new Promise((done) => setTimeout(done, 120))")
        label = shown.run(f"{place}.querySelector('.hoverlayer').textContent")
        assert "n = " in label or " of " in label, (figure, label)


def test_dark_is_dark_and_its_figures_too(shown: Tab, folder: Path) -> None:
    shown.media("", "dark")
    shown.settle()
    ground = shown.run("getComputedStyle(document.body).backgroundColor")
    ink = shown.run("""document.querySelector('[data-figure="dose"]').layout.font.color""")
    assert ground == "rgb(20, 23, 26)"
    assert ink == "#e8eaec"
    picture(shown, "open-dark", folder)


@pytest.mark.parametrize(
    ("name", "width", "height", "scheme"),
    [
        ("report", 1280, 860, "light"),
        ("report-dark", 1280, 860, "dark"),
        ("report-phone", 390, 1180, "light"),
    ],
)
def test_the_first_screen_holds_the_answers_and_the_picture(
    name: str, width: int, height: int, scheme: str, window: Tab, pages: dict[str, Path]
) -> None:
    window.width(width, height)
    window.media("", scheme)
    window.open(pages["measured"])
    bottom = "document.querySelector('.first {}').getBoundingClientRect().bottom"
    last = ".answers" if width < 900 else ".decision"
    assert window.run(bottom.format(last)) <= height
    picture(window, name, pages["measured"].parent, whole=False)


def test_paper_is_light_narrow_and_has_a_line_to_sign(shown: Tab, folder: Path) -> None:
    shown.media("", "dark")
    printed = shown.printed(Path(os.environ.get("FULCRA_PICTURES", folder)) / "open.pdf")
    assert printed.read_bytes().startswith(b"%PDF")
    shown.media("print", "dark")
    shown.run("dispatchEvent(new Event('beforeprint'))")
    dose = """document.querySelector('[data-figure="dose"]')"""
    assert shown.run(f"{dose}.layout.font.color") == "#1d2126"
    assert shown.run(f"{dose}.layout.width") <= 660
    shown.width(690)
    assert shown.run("document.documentElement.scrollWidth") <= 690
    shown.width(1280)
    display = "getComputedStyle(document.querySelector('{}')).display"
    assert shown.run(display.format(".signature")) == "flex"
    assert shown.run(display.format("nav")) == "none"
    shown.media("", "dark")
    shown.run("dispatchEvent(new Event('afterprint'))")
    assert shown.run(f"{dose}.layout.font.color") == "#e8eaec"
    assert shown.run(f"{dose}.layout.width") is None


def test_every_control_is_reached_and_named_by_the_keyboard(shown: Tab) -> None:
    unnamed = shown.run("""[...document.querySelectorAll("button, select, input, a, summary")]
      .filter((part) => part.tabIndex < 0 || !(part.textContent.trim() || part.labels?.length))
      .map((part) => part.outerHTML.slice(0, 80))""")
    assert unnamed == []
    shown.press("Tab")
    assert shown.run("document.activeElement.tagName") in ("A", "BUTTON")


def test_without_scripts_the_words_and_tables_are_there(shown: Tab, pages: dict[str, Path]) -> None:
    shown.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        shown.open(pages["open"], drawn=False)
        root = shown.send("DOM.getDocument", depth=0)["root"]["nodeId"]
        rows = shown.send("DOM.querySelectorAll", nodeId=root, selector="#branches tbody tr")
        assert len(rows["nodeIds"]) == 68
    finally:
        shown.send("Emulation.setScriptExecutionDisabled", value=False)
