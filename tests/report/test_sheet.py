"""One table in three forms: the same cells in each, and no cell is ever markup."""

from io import StringIO

from rich.console import Console

from fulcra.report.sheet import Sheet

HOSTILE = "[red]<b>a|b</b>[/red]"
SHEET = Sheet(
    ("name", "rate"),
    [(HOSTILE, "12%"), ("plain", "3%")],
    title="what [bold]stands[/bold]",
    numbers=("rate",),
    strong=frozenset({0}),
    total=("all", "15%"),
)


def printed(sheet: Sheet) -> str:
    out = StringIO()
    Console(file=out, width=80, force_terminal=False).print(sheet.rich())
    return out.getvalue()


def test_the_terminal_prints_every_cell_as_it_stands() -> None:
    text = printed(SHEET)
    for cell in (HOSTILE, "12%", "plain", "3%", "all", "15%", "what [bold]stands[/bold]"):
        assert cell in text


def test_numbers_stand_at_the_right() -> None:
    lines = [line.rstrip() for line in printed(SHEET).splitlines() if "%" in line]
    assert len({len(line) for line in lines}) == 1


def test_markdown_escapes_the_bar_alone() -> None:
    head, rule, first, second = SHEET.markdown()
    assert (head, rule) == ("| name | rate |", "| --- | --- |")
    assert first == "| [red]<b>a\\|b</b>[/red] | 12% |"
    assert second == "| plain | 3% |"


def test_html_escapes_every_cell() -> None:
    page = SHEET.html()
    assert "<b>" not in page
    assert "&lt;b&gt;a|b&lt;/b&gt;" in page
    assert '<td class="n">12%</td>' in page
