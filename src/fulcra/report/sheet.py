"""One table, drawn in the terminal, as Markdown or as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup
from rich import box
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows of text under named columns; those named in `numbers` stand at the right.

    Every cell is plain text: no markup of the terminal, of Markdown or of HTML acts in it. The
    rows whose index is in `strong` stand out in the terminal. `total` stands below the rows.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    title: str = ""
    numbers: Sequence[str] = ()
    strong: frozenset[int] = frozenset()
    total: Sequence[str] = ()

    def rich(self) -> Table:
        """The table in the terminal."""
        table = Table(
            box=box.SIMPLE_HEAD,
            padding=0,
            show_edge=False,
            pad_edge=False,
            title=Text(self.title, "dim") if self.title else None,
            title_justify="left",
            show_footer=bool(self.total),
        )
        totals = self.total or [""] * len(self.columns)
        for name, total in zip(self.columns, totals, strict=True):
            number = name in self.numbers
            side: Literal["left", "right"] = "right" if number else "left"
            table.add_column(Text(name), Text(total), justify=side, no_wrap=number)
        for i, row in enumerate(self.rows):
            table.add_row(*map(Text, row), style="bold" if i in self.strong else "")
        return table

    def markdown(self) -> list[str]:
        """The lines of the table in Markdown; a bar in a cell is escaped."""
        rule = ["---"] * len(self.columns)
        return [_markdown_line(row) for row in (self.columns, rule, *self.rows)]

    def html(self) -> Markup:
        """The table as HTML, every cell escaped."""
        head = "".join(_cell("th", name, name in self.numbers) for name in self.columns)
        body = [
            "".join(
                _cell("td", text, name in self.numbers)
                for name, text in zip(self.columns, row, strict=True)
            )
            for row in self.rows
        ]
        rows = "".join(f"<tr>{cells}</tr>" for cells in body)
        return Markup(f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _cell(tag: str, text: str, number: bool) -> Markup:
    side = Markup(' class="n"') if number else Markup("")
    return Markup("<{tag}{side}>{text}</{tag}>").format(tag=Markup(tag), side=side, text=text)
