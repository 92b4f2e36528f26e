"""The chain of a ledger: its lines as entries, and every place where it was changed, by number."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pydantic import ValidationError

from fulcra import documents
from fulcra.protocol.results.base import fault_line
from fulcra.protocol.witness.entries import NOTHING, Entry

#: Characters of what is told of a line that somebody else may have written.
LONGEST = 400


class Chain(NamedTuple):
    """The entries of a ledger as they stand, what is wrong with them, and its size in whole lines.

    `torn` bytes follow the last whole line: the writer died there, and they count for nothing.
    """

    entries: Sequence[Entry]
    faults: Sequence[str]
    size: int
    torn: int

    @property
    def last(self) -> Entry | None:
        """The head of the ledger; None of an empty one."""
        return self.entries[-1] if self.entries else None

    def numbered(self, number: int) -> Entry | None:
        """The entry of that number; None where there is none."""
        return next((entry for entry in self.entries if entry.number == number), None)

    def of_run(self, run: str) -> list[Entry]:
        """The entries of one run."""
        return [entry for entry in self.entries if entry.run == run]


def chain_of(content: bytes) -> Chain:
    """The chain of a ledger's bytes."""
    whole, end, torn = content.rpartition(b"\n")
    entries, faults, lines = list[Entry](), list[str](), whole.split(b"\n") if end else []
    for place, line in enumerate(lines, 1):
        entry = _entry(line)
        if isinstance(entry, Entry):
            entries.append(entry)
            faults += _altered(entry, line)
        else:
            faults.append(f"line {place}: altered: {entry}")
    if isinstance(_entry(torn), Entry):
        faults.append(f"line {len(lines) + 1}: altered: the end of the line is cut")
    faults += [*_missing(entries), *_moved(entries), *_unlinked(entries)]
    return Chain(entries, faults, len(whole + end), len(torn))


def _entry(line: bytes) -> Entry | str:
    """The entry of a line, or why it is none."""
    try:
        return Entry.model_validate(documents.read_json(line.decode()))
    except ValidationError as error:
        return printable(fault_line(error))
    except ValueError as error:
        return printable(" ".join(str(error).split()))


def printable(text: str) -> str:
    """The start of a text in which every character that steers a terminal is a question mark."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:LONGEST])


def _altered(entry: Entry, line: bytes) -> Iterator[str]:
    """Whether an entry is, byte by byte, what fulcra wrote."""
    if entry.made_sha256 != entry.sha256 or entry.line != line + b"\n":
        yield f"entry {entry.number}: altered: it does not have the hash that it names"


def _missing(entries: Iterable[Entry]) -> Iterator[str]:
    """Numbers that are skipped, and numbers that stand twice."""
    expected = 1
    for number in sorted(entry.number for entry in entries):
        if number > expected:
            lost = f"y {expected}" if number == expected + 1 else f"ies {expected} to {number - 1}"
            yield f"entr{lost}: missing"
        if number < expected:
            yield f"entry {number}: stands twice"
        expected = number + 1


def _moved(entries: Iterable[Entry]) -> Iterator[str]:
    """Entries that stand behind one of a higher number."""
    highest = 0
    for entry in entries:
        if entry.number < highest:
            yield f"entry {entry.number}: reordered: it stands behind entry {highest}"
        highest = max(highest, entry.number)


def _unlinked(entries: Sequence[Entry]) -> Iterator[str]:
    """Entries whose hash is not the one that the entry after them names."""
    by_number = {entry.number: entry.sha256 for entry in entries}
    for entry in entries:
        before = NOTHING if entry.number == 1 else by_number.get(entry.number - 1)
        if before is not None and entry.previous != before:
            yield f"entry {entry.number - 1}: altered: entry {entry.number} was put behind another"
