"""What a run meets and goes on from, kept beside its parts until it ends."""

from pathlib import Path
from typing import final

from pydantic import ValidationError

from fulcra.engines.incidents import Halved, Incident, NotFinite
from fulcra.errors import RunFolderError
from fulcra.protocol.results.base import fault_line
from fulcra.protocol.results.incidents import IncidentsEntry, NotFiniteEntry
from fulcra.store import read_json, write_json


@final
class Incidents:
    """The incidents of a run so far; in a folder, those of the processes before as well."""

    def __init__(self) -> None:
        self.entry = IncidentsEntry()
        self._path: Path | None = None

    @property
    def met(self) -> bool:
        """Whether the run met anything so far."""
        return bool(self.entry.halved or self.entry.not_finite or self.entry.lost)

    def keep(self, path: Path) -> None:
        """Go on with those in a file, and write every further one there."""
        self._path = path
        before = _read(path) if path.is_file() else IncidentsEntry()
        here = self.entry
        self.entry = _entry(
            _summed(before.halved, here.halved),
            {**before.not_finite, **here.not_finite},
            _summed(before.lost, here.lost),
        )

    def hear(self, step: str, incident: Incident) -> None:
        """One more, met in this step."""
        halved, broken, lost = self.entry.halved, self.entry.not_finite, self.entry.lost
        if isinstance(incident, Halved):
            halved = _summed(halved, {step: 1})
        elif isinstance(incident, NotFinite):
            entry = NotFiniteEntry(
                rows=incident.rows, of=incident.of, first=incident.first, edits=incident.edits
            )
            broken = {**broken, incident.part: entry}
        else:
            lost = _summed(lost, {step: 1})
        self.entry = _entry(halved, broken, lost)
        if self._path is not None:
            write_json(self._path, self.entry.plain())


def _entry(
    halved: dict[str, int], not_finite: dict[str, NotFiniteEntry], lost: dict[str, int]
) -> IncidentsEntry:
    """The entry; without the key `lost` where no replica was, as every run without a cluster."""
    if not lost:
        return IncidentsEntry(halved=halved, not_finite=not_finite)
    return IncidentsEntry(halved=halved, not_finite=not_finite, lost=lost)


def _summed(before: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return {step: before.get(step, 0) + more.get(step, 0) for step in {**before, **more}}


def _read(path: Path) -> IncidentsEntry:
    try:
        return IncidentsEntry.model_validate(read_json(path))
    except ValidationError as error:
        raise RunFolderError(
            f"{path}: {fault_line(error)}; expected what an interrupted run left"
        ) from None
