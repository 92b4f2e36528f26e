"""Files written whole or not at all, and folders in which one process alone writes."""

import errno
import fcntl
import glob
import os
import re
import socket
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, final

from fulcra.errors import RunFolderError

#: Where a process says that it writes into a folder; gone when it lets go.
LOCK = ".lock"
#: A file that is being written, beside the one that it will become.
TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """A block whose faults of the disk are told in one line."""
    try:
        yield
    except OSError as error:
        raise RunFolderError(
            f"writing {path}: {error.strerror or error}; nothing was left under that name, free"
            " space or choose another --out"
        ) from None


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write all of `data` or nothing: under another name first, synced, then renamed.

    The temporary file is locked while it is written, so that one of a dead writer is known by
    being unlocked; the next writer of `path` removes it.
    """
    temporary = None
    with _writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path.parent, path.name)
            handle, temporary = tempfile.mkstemp(".tmp", f".{path.name}.", path.parent)
            with os.fdopen(handle, "wb") as file:
                _lock(handle)
                file.write(data)
                file.flush()
                os.fchmod(handle, mode)
                os.fsync(handle)
                os.replace(temporary, path)
            _sync(path.parent)
        finally:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _lock(handle: int) -> bool:
    """Whether the open file is now locked by it alone; so it is where nothing can be locked."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _sweep(folder: Path, name: str = "") -> None:
    """Remove the temporary files of dead writers, of the file `name` or of all."""
    for path in folder.glob(f".{glob.escape(name)}*.tmp"):
        with suppress(OSError):
            if TEMPORARY.fullmatch(path.name) and _abandoned(path):
                path.unlink()


def _abandoned(path: Path) -> bool:
    """Whether no writer has the file locked; OSError where that cannot be told."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def append_whole(handle: int, line: bytes) -> None:
    """Write a line after the last whole one; a disk that is full in its middle leaves none of it.

    A line that another process left broken is closed, so that it spoils no other.
    """
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        line = b"\n" + line
    _append(handle, line, size)


def _append(handle: int, line: bytes, size: int) -> None:
    """Write a line after `size` bytes; a fault in its middle leaves none of it."""
    try:
        while line:
            line = line[os.write(handle, line) :]
    except OSError:
        os.ftruncate(handle, size)
        raise


def extend(path: Path, tail: Callable[[bytes], tuple[int, bytes]], patience: float = 60) -> None:
    """Write on at the end of a file, its content read and its end written under one lock.

    `tail` gets the content and gives how many of its bytes stay, and what stands after them; what
    it raises leaves the file as it is. On the disk when this returns. OSError, TimeoutError where
    another process has the file locked for `patience` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        _wait_for(handle, patience)
        size = os.fstat(handle).st_size
        stays, line = tail(os.pread(handle, size, 0))
        if stays < size:
            os.ftruncate(handle, stays)
        _append(handle, line, stays)
        os.fsync(handle)
    finally:
        os.close(handle)
    _sync(path.parent)


def _wait_for(handle: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        with suppress(BlockingIOError):
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, "another process has had it locked for too long")
        time.sleep(0.01)


@final
class Hold:
    """A folder in which this process alone writes, until it lets go or ends, however it ends."""

    _all: ClassVar["weakref.WeakValueDictionary[Path, Hold]"] = weakref.WeakValueDictionary()

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        with _writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            handle = _locked(path)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        self.release = weakref.finalize(self, _let_go, path, handle)

    @classmethod
    def of(cls, folder: Path) -> "Hold":
        """The hold of this process on the folder, and nothing left there of a process that died.

        RunFolderError where another process has it.
        """
        place = folder.resolve()
        hold = cls._all.get(place)
        if hold is None or not hold.release.alive:
            hold = cls._all[place] = cls(folder)
            for below in ("", "parts", "rollouts", "parts/rollouts"):
                _sweep(folder / below)
        return hold


def _locked(path: Path) -> int:
    """The lock file, open and locked; RunFolderError with the holder where it is locked already."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    if not _lock(handle):
        holder = os.read(handle, 200).decode(errors="replace").strip() or "another process"
        os.close(handle)
        raise RunFolderError(
            f"--out {path.parent}: {holder} is writing there; wait until it ends, or choose another"
            " folder"
        )
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    os.close(handle)  # the holder before took its file along
    return _locked(path)


def _let_go(path: Path, handle: int) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
    os.close(handle)


def require_writable(folder: Path) -> None:
    """RunFolderError where no file can be written in a folder that is there or still to be made.

    It is tried, and nothing of the trial is left behind.
    """
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"--out {folder}: found a file, expected a folder; choose another")
    with _writing(folder):
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, probe = tempfile.mkstemp(".tmp", ".out.", folder)
            try:
                os.write(handle, b"\n")
            finally:
                os.close(handle)
                Path(probe).unlink(missing_ok=True)
        finally:
            for place in made:
                with suppress(OSError):
                    place.rmdir()


def occupied(folder: Path) -> bool:
    """Whether a folder holds more than what a run that died at its first write leaves there."""
    return folder.is_dir() and any(
        path.name != LOCK and not TEMPORARY.fullmatch(path.name) for path in folder.iterdir()
    )
