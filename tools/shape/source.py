"""Python files read once: their lines, their syntax, and what is counted line by line."""

import ast
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """One file: its path below the package, its lines, its syntax tree."""

    path: str
    lines: list[str]
    tree: ast.Module

    def place(self, node: ast.stmt | ast.expr | ast.arg | ast.excepthandler, name: str) -> str:
        """`path:line name`, as editors open it."""
        return f"{self.path}:{node.lineno} {name}"


class Spread(NamedTuple):
    """A distribution of sizes in lines, by nearest rank."""

    median: float
    p90: int
    p99: int
    max: int


def read_sources(package: Path) -> list[Source]:
    """Every Python file below a folder, sorted by path."""
    return [_read(path, package) for path in sorted(package.rglob("*.py"))]


def spread(sizes: Sequence[int]) -> Spread:
    """Median, 90th and 99th percentile and largest of sizes, of which there is at least one."""
    ranked = sorted(sizes)
    ranks = (int(share * len(ranked)) for share in (0.9, 0.99))
    p90, p99 = (ranked[min(rank, len(ranked) - 1)] for rank in ranks)
    return Spread(statistics.median(ranked), p90, p99, ranked[-1])


def files_longer(sources: list[Source], lines: int) -> tuple[str, ...]:
    """The files of more than so many lines, each with its length."""
    long = (source for source in sources if len(source.lines) > lines)
    return tuple(f"{source.path} {len(source.lines)} lines" for source in long)


def lines_wider(sources: list[Source], columns: int) -> tuple[str, ...]:
    """Where a line has more than so many characters, whatever its file may be excused from."""
    return _lines(sources, lambda line: len(line) > columns)


def lines_with(sources: list[Source], text: str) -> tuple[str, ...]:
    """Where a line holds a text."""
    return _lines(sources, lambda line: text in line)


def mentions(sources: list[Source], text: str) -> int:
    """How often a text stands in the files."""
    return sum(line.count(text) for source in sources for line in source.lines)


def string_subscripts(sources: list[Source]) -> int:
    """How many values are read or written by a string: `entry["neuron"]`."""
    nodes = (node for source in sources for node in ast.walk(source.tree))
    return sum(isinstance(node, ast.Subscript) and _is_string(node.slice) for node in nodes)


def _is_string(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _read(path: Path, package: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    return Source(path.relative_to(package).as_posix(), text.splitlines(), ast.parse(text))


def _lines(sources: list[Source], fits: Callable[[str], bool]) -> tuple[str, ...]:
    return tuple(f"{source.path}:{number}" for source in sources for number in _rows(source, fits))


def _rows(source: Source, fits: Callable[[str], bool]) -> list[int]:
    return [number for number, line in enumerate(source.lines, 1) if fits(line)]
