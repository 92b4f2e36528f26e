"""Where a loaded model came from, so that it can be loaded again elsewhere and later."""

from pathlib import Path
from typing import NamedTuple


class Origin(NamedTuple):
    """What was loaded: a bundled name, an absolute path, or a hub id with its commit.

    `device`, `bits` and `trust_remote_code` are those that `load` was called with.
    """

    name: str
    revision: str | None = None
    device: str = "cpu"
    bits: int | None = None
    trust_remote_code: bool = False

    @classmethod
    def of(cls, name: str, folder: Path, device: str, bits: int | None) -> "Origin":
        """The origin of the model of this name, whose config was found in `folder`."""
        if folder.parent.name == "snapshots":
            return cls(name, folder.name, device, bits)
        own = Path(name).is_dir() and folder == Path(name)
        return cls(str(folder.resolve()) if own else name, None, device, bits)

    @classmethod
    def of_file(cls, name: str, file: Path, device: str) -> "Origin":
        """The origin of a model whose weights lie in one file, found on the disk or on the hub."""
        if Path(name).is_file():
            return cls(str(file.absolute()), None, device)
        commit = next(
            (place.name for place in file.parents if place.parent.name == "snapshots"), None
        )
        return cls(name, commit, device)
