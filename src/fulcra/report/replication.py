"""A paper's figures beside ours and a user's, in the terminal and as a page; and the commands."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fulcra.report.notation import UNKNOWN
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.release.replication.papers import Line, Paper
    from fulcra.release.replication.reading import Reading

COLUMNS = "row", "quantity", "paper", "here", "verdict"


class Beside(NamedTuple):
    """One row of the table: what the paper says, what was measured here, and in a user's runs.

    `why` is what the verdict rests on, where there is one; `needs` what is not here.
    """

    number: int
    what: str
    paper: tuple[str, ...]
    here: "tuple[Reading, ...]"
    verdict: str
    why: str
    needs: str
    runs: "tuple[Reading, ...]" = ()

    @property
    def figures(self) -> list[str]:
        """What was measured here, else what was concluded here."""
        return [reading.cell for reading in self.here] or [self.why][: bool(self.why)]


def replication_sheet(
    rows: Sequence[Beside], with_runs: bool = False, between: str = "\n"
) -> Sheet:
    """The table of one paper, with runs a column of what they hold; `between` parts the figures of
    a cell.
    """
    columns = (*COLUMNS, "your runs") if with_runs else COLUMNS
    cells = [
        (
            str(row.number),
            row.what,
            between.join(row.paper),
            between.join(row.figures) or UNKNOWN,
            row.verdict or UNKNOWN,
            *((between.join(each.cell for each in row.runs) or UNKNOWN,) if with_runs else ()),
        )
        for row in rows
    ]
    return Sheet(columns, cells, numbers=("row",))


def as_plain(row: Beside) -> dict[str, object]:
    """The row as JSON holds it, its figures by name."""
    figures = {name: [each._asdict() for each in getattr(row, name)] for name in ("here", "runs")}
    return {**row._asdict(), **figures}


def absent(rows: Sequence[Beside]) -> list[str]:
    """A line for each row that wants more than its command: what else, and is not here."""
    return [f"row {row.number} needs {row.needs}" for row in rows if row.needs]


def command_lines(lines: "Sequence[Line]") -> list[str]:
    """Every command on a line of its own, under a comment that names its rows."""
    return [
        text for line in lines for text in (f"# row {', '.join(map(str, line.rows))}", line.command)
    ]


def replication_markdown(
    source: "Paper",
    rows: Sequence[Beside],
    block: "Sequence[Line]",
    models: Mapping[str, Sequence[int]],
) -> str:
    """The section of one paper on the page: its table, what is not here, its commands on one
    model, and the paper's own `models` with their rows.
    """
    lines = [f"## Paper {source.letter}", "", f"{source.title}. {source.source}", ""]
    lines += replication_sheet(rows, between="; ").markdown()
    lines += ["", "Not run here, since", "", *(f"- {line}" for line in absent(rows)), ""]
    lines += ["```sh", *command_lines(block), "```", ""]
    lines += [f"The paper's own, printed by `fulcra replicate {source.letter} --model MODEL`:", ""]
    lines += ["| model | rows |", "| --- | --- |"]
    lines += [f"| {model} | {', '.join(map(str, own))} |" for model, own in models.items()]
    lines.append("")
    return "\n".join(lines)
