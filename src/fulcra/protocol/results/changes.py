"""Finished runs side by side, as changes.json holds them: what opened, what closed."""

from typing import ClassVar, Literal

from fulcra.protocol.results.base import Provenance, Result, Value
from fulcra.protocol.results.gate import GatedRun
from fulcra.store import CHANGES, CHANGES_PAGE, SUMMARY
from fulcra.types import Verdict

Turn = Literal["opened", "closed", "as before"]
#: The corrected p below which a branch is said to have changed beyond doubt.
SURE = 0.05


class FigureEntry(Value):
    """One figure of one run with its interval; None is beyond the ladder, or not reached on it."""

    run: str
    figure: str
    words: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    level: float
    method: str
    unit: str


class FigureChange(Value):
    """How a figure changed from one run to the next: a difference of rates, a ratio of gains.

    `corrected` is p after Holm over all changes of figures; a ratio has an interval alone.
    """

    before: str
    after: str
    figure: str
    kind: Literal["difference", "ratio"]
    change: float | None
    low: float | None
    high: float | None
    n: int
    p: float | None
    corrected: float | None


class BranchChange(Value):
    """A branch measured in both of two runs, at the gain where it flips most in both together.

    `corrected` is p after Holm over all branches of the two runs.
    """

    before: str
    after: str
    branch: str
    turn: Turn
    verdict_before: Verdict | None
    verdict_after: Verdict | None
    gain: float
    rate_before: float
    rate_after: float
    n_before: int
    n_after: int
    test: Literal["mcnemar", "fisher"]
    p: float
    corrected: float

    @property
    def sure(self) -> bool:
        """Whether the change of the rate is beyond doubt."""
        return self.corrected < SURE


class PairEntry(Value):
    """Two runs in a row: how many branches both measured, or why none can be compared."""

    before: str
    after: str
    shared: int
    only_before: int
    only_after: int
    note: str = ""


class ChangesResult(Result):
    """Runs side by side, oldest first."""

    file: ClassVar[str] = CHANGES

    schema_version: int
    runs: tuple[GatedRun, ...]
    figures: tuple[FigureEntry, ...]
    pairs: tuple[PairEntry, ...]
    changes: tuple[FigureChange, ...]
    branches: tuple[BranchChange, ...]
    provenance: Provenance

    def turned(self, turn: Turn, pair: PairEntry) -> tuple[BranchChange, ...]:
        """The branches of two runs that opened, closed or stayed, the surest first."""
        runs = (pair.before, pair.after)
        rows = (row for row in self.branches if (row.before, row.after) == runs)
        return tuple(sorted((r for r in rows if r.turn == turn), key=lambda row: row.corrected))

    def pages(self) -> dict[str, str]:
        """The summary for a pull request, and the page with the history."""
        from fulcra.report.changes import changes_markdown, changes_page

        return {SUMMARY: changes_markdown(self), CHANGES_PAGE: changes_page(self)}

    def lines(self) -> tuple[str, ...]:
        """The runs, and how many branches opened and closed from one to the next."""
        names = ", ".join(run.folder for run in self.runs)
        pairs = (
            f"{pair.before} to {pair.after}: {len(self.turned('opened', pair))} opened,"
            f" {len(self.turned('closed', pair))} closed of {pair.shared} shared branches"
            for pair in self.pairs
        )
        return (names, *pairs)[:5]
