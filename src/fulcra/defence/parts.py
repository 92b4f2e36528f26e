"""What an interrupted hardening or mending has finished: kept in its folder, taken from there."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, final

from fulcra.protocol.results.base import Value
from fulcra.protocol.runs import Manifest
from fulcra.store import MANIFEST, PARTS, RunFolder, read_json, require_run, write_json

Entry = TypeVar("Entry", bound=Value)


@final
class Parts:
    """The finished trainings, changes and audits of one run, a file each, until it ends.

    The folder is taken when the first of them is finished, so a run that is refused before leaves
    nothing behind. RunFolderError where it holds anything else, or another run.
    """

    def __init__(self, manifest: Manifest, out: Path) -> None:
        require_run(out)
        self.manifest, self.out = manifest, out
        self._folder: RunFolder | None = None
        if (out / MANIFEST).is_file():
            self.take()

    def of(self, name: str, kind: type[Entry], make: Callable[[], Entry]) -> Entry:
        """The part of that name with the digits that are stored, made where it is not there yet."""
        path = self.out / PARTS / f"{name}.json"
        if self._folder is None or not path.is_file():
            made = make()
            self.take()
            write_json(path, made.plain())
        return kind.model_validate(read_json(path))

    def folder(self, name: str) -> Path:
        """Where a part keeps what is no entry; to be taken before anything is written there."""
        return self.out / PARTS / name

    def take(self) -> None:
        """Take the folder, before anything is written there."""
        if self._folder is None:
            self._folder = RunFolder.open(self.out, self.manifest)

    def drop(self) -> None:
        """Remove the parts of a run that is over."""
        if self._folder is not None:
            self._folder.drop_parts()
