"""Budgets and forecast ceilings under other contexts, as contexts.json holds them."""

from collections.abc import Sequence
from statistics import median
from typing import ClassVar

from fulcra.protocol.results.base import ModelEntry, Provenance, Result, Timing, Value


class ContextRow(Value):
    """One condition: a length of context or a language, of how many texts.

    tokens: mean length of prompt and reply. budgets [layer]: |r| over that of the reference
    condition, so the factor of every budget. ceilings: forecast ceiling of each branch over its
    reference one, both as doses in activation units; None where one lies beyond the ladder.
    """

    kind: str
    name: str
    texts: int
    tokens: float
    budgets: tuple[float, ...]
    ceilings: dict[str, float | None]


class ContextsResult(Result):
    """How budgets and ceilings of one model move with the length and the language of the context.

    |r| is the mean over continuation positions: no token of the prompt, so no sink token, counts.
    `sink` [layer] is |r| at the first token over |r| at the continuation of the reference: what a
    mean that counts it would be pulled towards.
    """

    file: ClassVar[str] = "contexts.json"

    schema_version: int
    provenance: Provenance
    model: ModelEntry
    reference: str
    sink: tuple[float, ...]
    rows: tuple[ContextRow, ...]
    timing: Timing

    def lines(self) -> tuple[str, ...]:
        """Each condition with its median budget and ceiling over the reference."""
        return tuple(
            f"{row.kind} {row.name}: budgets x {median_range(row.budgets)}, ceilings x"
            f" {median_range([ratio for ratio in row.ceilings.values() if ratio is not None])}"
            for row in self.rows
        )


def median_range(values: Sequence[float]) -> str:
    """The median of values with their range, "-" of none."""
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})" if values else "-"
