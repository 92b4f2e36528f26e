"""What a run meets and goes on from, kept beside its parts until it ends."""

from pathlib import Path
from typing import final

from pydantic import ValidationError

from fulcra.engines.incidents import Halved, Incident
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
        return bool(self.entry.halved or self.entry.not_finite)

    def keep(self, path: Path) -> None:
        """Go on with those in a file, and write every further one there."""
        self._path = path
        before = _read(path) if path.is_file() else IncidentsEntry()
        here = self.entry
        halved = dict(before.halved)
        for step, count in here.halved.items():
            halved[step] = halved.get(step, 0) + count
        self._set(halved, {**before.not_finite, **here.not_finite})

    def hear(self, step: str, incident: Incident) -> None:
        """One more, met in this step."""
        halved, broken = dict(self.entry.halved), dict(self.entry.not_finite)
        if isinstance(incident, Halved):
            halved[step] = halved.get(step, 0) + 1
        else:
            broken[incident.part] = NotFiniteEntry(
                rows=incident.rows, of=incident.of, first=incident.first, edits=incident.edits
            )
        self._set(halved, broken)
        if self._path is not None:
            write_json(self._path, self.entry.plain())

    def _set(self, halved: dict[str, int], not_finite: dict[str, NotFiniteEntry]) -> None:
        self.entry = IncidentsEntry(halved=halved, not_finite=not_finite)


def _read(path: Path) -> IncidentsEntry:
    try:
        return IncidentsEntry.model_validate(read_json(path))
    except ValidationError as error:
        raise RunFolderError(
            f"{path}: {fault_line(error)}; expected what an interrupted run left"
        ) from None
