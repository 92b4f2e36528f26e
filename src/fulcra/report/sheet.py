"""One table, drawn in the terminal, as Markdown or as HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from markupsafe import Markup
from rich import box
from rich.table import Table
from rich.text import Text


class Marked(NamedTuple):
    """A text with one part of it marked, as a cell."""

    before: str
    peak: str
    after: str

    def __str__(self) -> str:
        return "".join(self)

    def __html__(self) -> str:
        """The text as HTML with the part in a mark, all of it escaped."""
        return Markup("{}<mark>{}</mark>{}").format(*self)


Cell = str | Marked


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows of text under named columns; those named in `numbers` stand at the right.

    Every cell is plain text: no markup of the terminal, of Markdown or of HTML acts in it. The
    rest is of the terminal: rows whose index is in `strong` stand out, `total` stands below the
    rows, columns named in `whole` are not wrapped, `even` ones share the width of the terminal.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    numbers: Sequence[str] = ()
    strong: frozenset[int] = frozenset()
    total: Sequence[str] = ()
    whole: Sequence[str] = ()
    even: bool = False

    def rich(self) -> Table:
        """The table in the terminal."""
        table = Table(
            box=box.SIMPLE_HEAD,
            padding=(0, 1) if self.even else 0,
            show_edge=False,
            pad_edge=False,
            title=Text(self.title, "dim") if self.title else None,
            title_justify="left",
            show_footer=bool(self.total),
            expand=self.even,
        )
        totals = self.total or [""] * len(self.columns)
        for name, total in zip(self.columns, totals, strict=True):
            whole = name in self.numbers or name in self.whole
            table.add_column(
                Text(name),
                Text(total),
                justify="right" if name in self.numbers else "left",
                no_wrap=whole,
                overflow="ellipsis" if whole else "fold",
                ratio=1 if self.even else None,
            )
        for i, row in enumerate(self.rows):
            table.add_row(*map(_words, row), style="bold" if i in self.strong else "")
        return table

    def markdown(self) -> list[str]:
        """The lines of the table in Markdown; a bar in a cell is escaped."""
        rule = ["---"] * len(self.columns)
        return [_markdown_line(row) for row in (self.columns, rule, *self.rows)]

    def html(self) -> Markup:
        """The table as HTML, every cell escaped."""
        head = self._line(self.columns, "th")
        rows = Markup("").join(self._line(row, "td") for row in self.rows)
        return Markup("<table><thead>{}</thead><tbody>{}</tbody></table>").format(head, rows)

    def _line(self, cells: Sequence[Cell], tag: Literal["th", "td"]) -> Markup:
        """One row in HTML; its first cell is its head unless it is a number."""
        drawn: list[Markup] = []
        for name, cell in zip(self.columns, cells, strict=True):
            kind = "n" if name in self.numbers else "snippet" if isinstance(cell, Marked) else ""
            head = tag == "td" and not drawn and not kind
            opened = 'th scope="row"' if head else f'{tag} class="{kind}"' if kind else tag
            drawn.append(Markup(f"<{opened}>") + cell + Markup(f"</{opened[:2]}>"))
        return Markup("<tr>{}</tr>").format(Markup("").join(drawn))


def pairs(facts: Iterable[tuple[str, str]]) -> Table:
    """Names beside their values in the terminal, without a head; all of it plain text."""
    grid = Table.grid(padding=(0, 2))
    for name, value in facts:
        grid.add_row(Text(name, "dim"), Text(value))
    return grid


def _words(cell: Cell) -> Text:
    if isinstance(cell, str):
        return Text(cell)
    return Text.assemble(cell.before, (cell.peak, "bold reverse"), cell.after)


def _markdown_line(cells: Sequence[Cell]) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"
