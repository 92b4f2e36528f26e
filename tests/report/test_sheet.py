"""One table in three forms: the same cells in each, and no cell is ever markup."""

from io import StringIO

from rich.console import Console
from rich.table import Table

from fulcra.report.sheet import Marked, Sheet, pairs

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
    return drawn(sheet.rich())


def drawn(table: Table) -> str:
    out = StringIO()
    Console(file=out, width=80, force_terminal=False).print(table)
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


def test_the_first_cell_of_a_row_is_its_head_unless_it_is_a_number() -> None:
    assert SHEET.html().count('<th scope="row">') == 2
    assert '<th scope="row">' not in Sheet(("n",), [("1",)], numbers=("n",)).html()


def test_a_marked_part_is_marked_and_escaped_in_every_form() -> None:
    sheet = Sheet(("text",), [(Marked("<i>", "<b>|", "[red]"),)])
    assert '<td class="snippet">&lt;i&gt;<mark>&lt;b&gt;|</mark>[red]</td>' in sheet.html()
    assert sheet.markdown()[-1] == "| <i><b>\\|[red] |"
    assert "<i><b>|[red]" in printed(sheet)


def test_a_text_too_wide_is_wrapped_and_never_cut_but_in_a_column_that_is_whole() -> None:
    words = "w" * 300
    assert printed(Sheet(("text",), [(words,)])).count("w") == 300
    assert "\N{HORIZONTAL ELLIPSIS}" in printed(Sheet(("text",), [(words,)], whole=("text",)))


def test_even_columns_share_the_whole_width() -> None:
    head = printed(Sheet(("undosed", "dosed"), [("[/b]", "long " * 40)], even=True)).splitlines()[0]
    assert 38 <= head.index("dosed", 8) <= 42


def test_pairs_print_names_and_values_as_they_stand() -> None:
    assert drawn(pairs([("[b]", HOSTILE)])).split() == ["[b]", HOSTILE]
