"""Where neurons act most in a text, as exemplars.json and the table beside it hold it."""

import json
from pathlib import Path
from typing import ClassVar, Final, Literal, Self

import pyarrow as pa
from pydantic import Field

from fulcra.protocol.results.base import ModelEntry, Provenance, Result, Value
from fulcra.store import EXEMPLARS, read_rows, write_rows

FILE, TABLE, PAGE = f"{EXEMPLARS}.json", f"{EXEMPLARS}.parquet", f"{EXEMPLARS}.html"
#: Of which kind a snippet is: of the largest or the smallest activations, or a random token.
Pole = Literal["+", "-", "random"]
SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("neuron", "pole")),
        ("rank", pa.int64()),
        ("activation", pa.float64()),
        ("file", pa.string()),
        *((name, pa.int64()) for name in ("window", "position")),
        *((name, pa.string()) for name in ("before", "peak", "after")),
    ]
)


class SnippetRow(Value):
    """One snippet, a row of exemplars.parquet: a token and the words around it."""

    neuron: str
    pole: Pole
    rank: int
    activation: float
    file: str
    window: int
    position: int
    before: str
    peak: str
    after: str


class ExemplarSize(Value):
    """Snippets a pole, random ones, tokens of context each side, tokens a window, seed."""

    top: int
    random: int
    context: int
    window: int
    seed: int


class TextEntry(Value):
    """A text file that was read."""

    file: str
    sha256: str
    characters: int


class NeuronActivity(Value):
    """A neuron over all tokens: share above 0, mean and extremes; None where none reached it."""

    neuron: str
    tokens: int
    positive: float | None
    mean: float | None
    high: float | None
    low: float | None


class ExemplarsResult(Result):
    """The snippets of some neurons in some texts; `rows` stand in a table beside the file."""

    file: ClassVar[str] = FILE

    schema_version: int
    command: str
    model: ModelEntry
    settings: ExemplarSize
    texts: tuple[TextEntry, ...]
    windows: int
    neurons: tuple[NeuronActivity, ...]
    provenance: Provenance
    rows: tuple[SnippetRow, ...] = Field(default=(), exclude=True)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Saved exemplars with their rows, from their folder or file; RunFolderError where none."""
        path = Path(path)
        folder = path if path.is_dir() else path.parent
        result = super().load(path)
        rows = tuple(SnippetRow.model_validate(row) for row in read_rows(folder / TABLE, SCHEMA))
        return result.model_copy(update={"rows": rows})

    def json_text(self) -> str:
        """The result and its rows in one line of JSON."""
        rows = [row.plain() for row in self.rows]
        return json.dumps({**self.plain(), "rows": rows}, allow_nan=False)

    def save(self, folder: str | Path) -> Path:
        """Write table, page and result into a folder, the result last; returns its path."""
        folder = Path(folder)
        write_rows(folder / TABLE, [row.model_dump() for row in self.rows], SCHEMA)
        return super().save(folder)

    def pages(self) -> dict[str, str]:
        """The page of all snippets."""
        from fulcra.report.exemplars import render_exemplars

        return {PAGE: render_exemplars(self)}

    def lines(self) -> tuple[str, ...]:
        """Model and texts, then the range of the first four neurons."""
        ranges = [
            f"{entry.neuron}: {entry.low:.3g} to {entry.high:.3g} in {entry.tokens} tokens"
            for entry in self.neurons[:4]
            if entry.low is not None and entry.high is not None
        ]
        files = ", ".join(text.file for text in self.texts[:3])
        return (f"{self.model.name} on {files}: {self.windows} windows", *ranges)
