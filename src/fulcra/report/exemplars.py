"""The page of a neuron's exemplars: snippets on both poles and at random, their token marked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from fulcra.report import notation
from fulcra.report.sheet import Cell, Marked, Sheet
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.exemplars import ExemplarsResult, SnippetRow

#: Snippets of a kind that are shown at once; the others unfold.
SHOWN = 20
#: Characters of context on each side of a token in the terminal.
_AROUND = 24
_KINDS = {"+": "largest activations", "-": "smallest activations", "random": "random tokens"}


def render_exemplars(result: "ExemplarsResult") -> str:
    """The HTML page of exemplars, self-contained and without a script."""
    neurons = [(entry, snippets_of(result.rows, entry.neuron)) for entry in result.neurons]
    return filled(
        "exemplars.html",
        content=result,
        neurons=neurons,
        shown=SHOWN,
        sheet=snippets_sheet,
        notation=notation,
    )


def snippets_of(rows: "Sequence[SnippetRow]", neuron: str) -> "dict[str, list[SnippetRow]]":
    """The snippets of one neuron under the heading of their kind; an empty kind is left out."""
    kinds: dict[str, list[SnippetRow]] = {title: [] for title in _KINDS.values()}
    for row in rows:
        if row.neuron == neuron:
            kinds[_KINDS[row.pole]].append(_bare(row))
    return {title: snippets for title, snippets in kinds.items() if snippets}


def _bare(row: "SnippetRow") -> "SnippetRow":
    """The row with the spaces around its peak outside of it, so that a mark holds the word alone.

    A peak of spaces stays.
    """
    peak = row.peak.strip()
    if not peak:
        return row
    before, after = row.peak.split(peak, 1)
    context = {"before": row.before + before, "after": after + row.after}
    return row.model_copy(update={"peak": peak, **context})


def snippets_sheet(rows: "Sequence[SnippetRow]") -> Sheet:
    """One row a snippet: activation, the words with their token marked, file."""
    cells = [
        (notation.number(row.activation), Marked(row.before, row.peak, row.after), row.file)
        for row in rows
    ]
    return Sheet(("activation", "text", "file"), cells, numbers=("activation",))


def exemplars_table(result: "ExemplarsResult", count: int = 5) -> Table:
    """The renderable of the best `count` snippets of every neuron and pole."""
    rows: list[tuple[Cell, ...]] = []
    for row in map(_bare, result.rows):
        if row.pole == "random" or row.rank > count:
            continue
        before, after = _one_line(row.before[-_AROUND:]), _one_line(row.after[:_AROUND])
        words = Marked(before, row.peak, after)
        rows.append((row.neuron + row.pole, notation.number(row.activation), words))
    columns = ("neuron", "activation", "text")
    return Sheet(columns, rows, numbers=("activation",), whole=("neuron", "text")).rich()


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))
