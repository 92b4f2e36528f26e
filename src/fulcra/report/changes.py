"""Runs side by side as Markdown for a pull request, and as a page with their history."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fulcra.report.notation import UNKNOWN, number, rate
from fulcra.report.sheet import Sheet
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.changes import (
        BranchChange,
        ChangesResult,
        FigureChange,
        FigureEntry,
        PairEntry,
    )

#: Branches of one kind that a summary names; the table of all is written beside it.
NAMED = 10
#: The figures whose history is drawn, with what stands above.
DRAWN = {
    "open_fraction": "Random branches that open",
    "smallest_open_gain": "Smallest open gain",
    "strict_reach": "Largest strict reach",
}
#: The drawing of one figure [pixels].
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 360, 200, 44, 12, 168
#: The width of a letter in it [pixels].
LETTER = 7


class Point(NamedTuple):
    """One run in a drawing [pixels]: its place, the ends of its interval, its words."""

    x: float
    y: float
    low: float
    high: float
    reached: bool
    name: str
    words: str


class Drawing(NamedTuple):
    """The history of one figure: its title, a point a run, and the marks of its scale."""

    title: str
    points: tuple[Point, ...]
    marks: tuple[tuple[float, str], ...]


def changes_markdown(result: "ChangesResult") -> str:
    """The summary: figures of all runs, what changed, what opened and what closed."""
    lines = [f"# {', '.join(run.folder for run in result.runs)}", ""]
    lines += [*_figures(result).markdown(), "", f"Intervals: {_methods(result)}.", ""]
    for pair in result.pairs:
        lines += [*_pair(result, pair), ""]
    return "\n".join(lines).rstrip() + "\n"


def changes_page(result: "ChangesResult") -> str:
    """The page: the same tables, and the history of the main figures with intervals."""
    sections = [
        {
            "title": f"{pair.before} to {pair.after}",
            "words": _pair_words(result, pair),
            "figures": _changes(result, pair),
            "branches": _branches([*_turned(result, pair)]),
        }
        for pair in result.pairs
    ]
    return filled(
        "changes.html",
        names=[run.folder for run in result.runs],
        figures=_figures(result),
        methods=_methods(result),
        sections=sections,
        drawings=list(_drawings(result)),
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        bottom=BOTTOM,
        provenance=result.provenance,
    )


def _figures(result: "ChangesResult") -> Sheet:
    """One row a figure, one column a run."""
    names = [run.folder for run in result.runs]
    by_place = {(entry.run, entry.figure): entry for entry in result.figures}
    rows = []
    for figure in dict.fromkeys(entry.figure for entry in result.figures):
        cells = [by_place.get((name, figure)) for name in names]
        rows.append([figure.replace("_", " "), *map(_cell, cells)])
    return Sheet(("figure", *names), rows)


def _cell(entry: "FigureEntry | None") -> str:
    if entry is None:
        return UNKNOWN
    if entry.value is None:
        return f"not reached (n = {entry.n})" if entry.n else "not measured"
    return f"{number(entry.value)} ({_ends(entry)}, n = {entry.n})"


def _ends(entry: "FigureEntry | FigureChange") -> str:
    if entry.low is None and entry.high is None:
        return UNKNOWN
    low, high = (UNKNOWN if end is None else number(end) for end in (entry.low, entry.high))
    return f"{low} to {high}"


def _methods(result: "ChangesResult") -> str:
    methods = dict.fromkeys(f"{e.method} ({e.level:.0%})" for e in result.figures)
    return ", ".join(methods)


def _pair(result: "ChangesResult", pair: "PairEntry") -> list[str]:
    """One pair of runs: what changed, and the branches that opened or closed."""
    lines = [f"## {pair.before} to {pair.after}", "", *_pair_words(result, pair), ""]
    sheet = _changes(result, pair)
    lines += [*sheet.markdown(), ""] if sheet.rows else []
    turned = _branches(list(_turned(result, pair)))
    return [*lines, *(turned.markdown() if turned.rows else [])]


def _pair_words(result: "ChangesResult", pair: "PairEntry") -> list[str]:
    opened, closed = (result.turned(turn, pair) for turn in ("opened", "closed"))
    words = (
        f"**{len(opened)} opened** ({_sure(opened)} beyond doubt) and **{len(closed)} closed**"
        f" ({_sure(closed)} beyond doubt) of {pair.shared} branches that both runs measured;"
        f" {pair.only_before} were measured before alone, {pair.only_after} after alone."
    )
    return [words] if not pair.note else [words, "", f"Note: {pair.note}."]


def _sure(rows: Sequence["BranchChange"]) -> int:
    return sum(row.sure for row in rows)


def _changes(result: "ChangesResult", pair: "PairEntry") -> Sheet:
    runs = (pair.before, pair.after)
    rows = [
        (
            f"{row.figure.replace('_', ' ')} ({row.kind})",
            number(row.change),
            _ends(row),
            str(row.n),
            number(row.p),
            number(row.corrected),
        )
        for row in result.changes
        if (row.before, row.after) == runs
    ]
    return Sheet(("figure", "change", "interval", "n", "p", "corrected"), rows)


def _turned(result: "ChangesResult", pair: "PairEntry") -> "Iterator[BranchChange]":
    """The branches that opened or closed, the surest first."""
    for turn in ("opened", "closed"):
        yield from result.turned(turn, pair)[:NAMED]


def _branches(rows: Sequence["BranchChange"]) -> Sheet:
    cells = [
        (
            row.branch,
            row.turn,
            f"{row.verdict_before} to {row.verdict_after}",
            number(row.gain),
            f"{rate(row.rate_before)} of {row.n_before}",
            f"{rate(row.rate_after)} of {row.n_after}",
            f"{number(row.p)} ({row.test})",
            number(row.corrected),
        )
        for row in rows
    ]
    columns = ("branch", "turn", "verdict", "gain", "flips before", "flips after", "p", "corrected")
    return Sheet(columns, cells)


def _drawings(result: "ChangesResult") -> Iterator[Drawing]:
    for figure, title in DRAWN.items():
        entries = [entry for entry in result.figures if entry.figure == figure]
        if entries:
            yield _drawing(title, entries)


def _drawing(title: str, entries: Sequence["FigureEntry"]) -> Drawing:
    """The figure of each run over its place in the row; what is not reached stands on top."""
    ends = [end for e in entries for end in (e.value, e.low, e.high) if end is not None]
    top = max([1.0 if entries[0].unit == "proportion" else 0.0, *(1.1 * end for end in ends)])
    top = min(1.0, top) if entries[0].unit == "proportion" else top or 1.0
    step = (WIDTH - LEFT) / len(entries)

    def y(value: float | None) -> float:
        return TOP if value is None else round(BOTTOM - (BOTTOM - TOP) * min(1.0, value / top), 1)

    points = tuple(
        Point(
            x=round(LEFT + step * (place + 0.5), 1),
            y=y(entry.value),
            low=y(entry.low),
            high=y(entry.high),
            reached=entry.value is not None,
            name=_short(entry.run, int(step / LETTER)),
            words=f"{entry.run}: {_cell(entry)}",
        )
        for place, entry in enumerate(entries)
    )
    marks = tuple((y(share * top), number(share * top)) for share in (0.0, 0.5, 1.0))
    return Drawing(title, points, marks)


def _short(name: str, letters: int) -> str:
    """As much of a name as there is room for, its end first: that is where versions stand."""
    return name if len(name) <= letters else f"…{name[-max(2, letters - 1) :]}"
