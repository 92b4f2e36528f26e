"""What a run met and went on from, as audit.json holds it; a run that met nothing has none."""

from collections.abc import Iterator

from pydantic import Field

from fulcra.protocol.results.base import Value


class NotFiniteEntry(Value):
    """Of `of` rollouts, `rows` met numbers that are not finite; where and under what the first."""

    rows: int
    of: int
    first: str | None
    edits: str


class IncidentsEntry(Value):
    """Batches halved and replicas lost, by step; rollouts with broken numbers, by part of the run.

    A run from before replicas were counted, and one that lost none, has no `lost`.
    """

    halved: dict[str, int] = Field(default_factory=dict)
    not_finite: dict[str, NotFiniteEntry] = Field(default_factory=dict)
    lost: dict[str, int] = Field(default_factory=dict)

    @property
    def broken(self) -> int:
        """Rollouts that met numbers that are not finite."""
        return sum(entry.rows for entry in self.not_finite.values())

    def lines(self) -> list[str]:
        """What was met, in a line each."""
        return list(self._lines())

    def _lines(self) -> Iterator[str]:
        if count := sum(self.halved.values()):
            batches = "1 batch" if count == 1 else f"{count} batches"
            yield f"{batches} halved after running out of memory ({_steps(self.halved)})"
        if count := sum(self.lost.values()):
            lost = "1 replica was" if count == 1 else f"{count} replicas were"
            yield f"{lost} lost in the middle of a shard, which ran again ({_steps(self.lost)})"
        for part, entry in self.not_finite.items():
            place = "" if entry.first is None else f" at {entry.first}"
            yield (
                f"{entry.rows} of {entry.of} rollouts of {part} met numbers that are not finite and"
                f" stay unscored; the first{place} under {entry.edits}"
            )


def _steps(counts: dict[str, int]) -> str:
    return ", ".join(f"{step} {number}" for step, number in counts.items())
