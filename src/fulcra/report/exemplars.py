"""The page of a neuron's exemplars: its snippets on both poles and at random, the token of each
marked.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from fulcra.report import notation
from fulcra.report.template import filled

#: Snippets of a kind that are shown at once; the others unfold.
SHOWN = 20
_KINDS = {"+": "largest activations", "-": "smallest activations", "random": "random tokens"}


def render_exemplars(content: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """The HTML page of exemplars.json and the rows beside it, self-contained and without a
    script.
    """
    neurons = [(entry, snippets_of(rows, entry["neuron"])) for entry in content["neurons"]]
    return filled(
        "exemplars.html", content=content, neurons=neurons, shown=SHOWN, notation=notation
    )


def snippets_of(
    rows: Sequence[Mapping[str, Any]], neuron: str
) -> dict[str, list[Mapping[str, Any]]]:
    """The snippets of one neuron under the heading of their kind; a kind without any is left
    out.
    """
    found = {
        title: [_bare(row) for row in rows if row["neuron"] == neuron and row["pole"] == pole]
        for pole, title in _KINDS.items()
    }
    return {title: some for title, some in found.items() if some}


def _bare(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with the spaces around its peak outside of it, so that a mark holds the word alone; a
    peak of spaces stays.
    """
    peak = row["peak"].strip()
    if not peak:
        return row
    before, after = row["peak"].split(peak, 1)
    return {**row, "before": row["before"] + before, "peak": peak, "after": after + row["after"]}


def exemplars_table(content: Mapping[str, Any], count: int = 5) -> Table:
    """The renderable of the best `count` snippets of every neuron and pole; all words are plain
    text, no markup.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False)
    table.add_column("neuron", no_wrap=True)
    table.add_column("activation", justify="right", no_wrap=True)
    table.add_column("text", overflow="ellipsis", no_wrap=True)
    for row in map(_bare, content["rows"]):
        if row["pole"] != "random" and row["rank"] <= count:
            words = (row["before"][-24:], (row["peak"], "bold reverse"), row["after"][:24])
            text = Text.assemble(
                *(part if isinstance(part, tuple) else _one_line(part) for part in words)
            )
            table.add_row(
                Text(row["neuron"] + row["pole"]), Text(notation.number(row["activation"])), text
            )
    return table


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))
