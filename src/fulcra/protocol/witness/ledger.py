"""The ledger of commitments: one append-only file in which every entry names the one before."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from fulcra import documents
from fulcra.disk import extend
from fulcra.errors import InputError, RunFolderError
from fulcra.protocol.witness.chain import Chain, chain_of
from fulcra.protocol.witness.entries import Entry

FILE = "ledger.jsonl"
#: Entries that are still checked in two seconds on one slow core.
MOST_LINES = 20_000
#: Bytes of a file that names the folder of a ledger.
URL_BYTES = 4096
#: What the refusal of an edited ledger says to do.
ADVICE = "restore it from a copy, or begin another ledger in a new folder and say why"


class Ledger(NamedTuple):
    """A ledger by its folder."""

    folder: Path

    @property
    def path(self) -> Path:
        """The file that holds the entries."""
        return self.folder / FILE

    def chain(self) -> Chain:
        """The chain as it stands, empty where nothing was entered; RunFolderError unreadable."""
        with self._told():
            if self.path.exists() and not self.path.is_file():
                raise RunFolderError(f"ledger {self.path}: expected a file; give another folder")
            content = self.path.read_bytes() if self.path.exists() else b""
            return chain_of(self._bounded(content))

    def sound(self) -> Chain:
        """The chain as it stands; RunFolderError where any entry was altered, removed or moved."""
        chain = self.chain()
        self._require_sound(chain)
        return chain

    def enter(self, make: Callable[[Chain], Entry]) -> Entry:
        """The entry that `make` gives for the chain, appended under lock.

        One that stands in the chain already is left as it is. RunFolderError where the chain is
        broken or cannot be written.
        """
        made = list[Entry]()

        def tail(content: bytes) -> tuple[int, bytes]:
            chain = chain_of(self._bounded(content))
            self._require_sound(chain)
            entry = make(chain)
            stands = entry in chain.entries
            made.append(entry if stands else entry.after(chain.last))
            return chain.size, b"" if stands else made[0].line

        with self._told():
            extend(self.path, tail)
        return made[0]

    def _bounded(self, content: bytes) -> bytes:
        if len(content) > documents.JSON_BYTES or content.count(b"\n") >= MOST_LINES:
            raise RunFolderError(
                f"ledger {self.path}: {MOST_LINES:,} entries or {documents.JSON_BYTES:,} bytes and"
                " more; begin another in a new folder"
            )
        return content

    def _require_sound(self, chain: Chain) -> None:
        if chain.faults:
            raise RunFolderError(f"ledger {self.path}: {chain.faults[0]}; {ADVICE}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A block whose faults of the disk are told in one line."""
        try:
            yield
        except OSError as error:
            raise RunFolderError(
                f"ledger {self.path}: {error.strerror or error}; nothing was entered, check the"
                " folder, its permissions and the space left"
            ) from None


def ledger_at(place: Path) -> Ledger:
    """The ledger in a folder, or in the folder whose `file:` URL a file holds.

    InputError where the file holds something else.
    """
    if place.is_dir() or not place.exists():
        return Ledger(place)
    try:
        held = documents.read_text(place, URL_BYTES).strip()
    except (OSError, ValueError) as error:
        raise InputError(f"--ledger {place}: {error}; give the folder of a ledger") from None
    url = urlsplit(held)
    if url.scheme != "file" or url.netloc not in ("", "localhost") or "\n" in held:
        raise InputError(
            f"--ledger {place}: expected a folder, or a file with the file: URL of one, found"
            f" {held[:60]!r}; a ledger elsewhere must be mounted as a folder"
        )
    return Ledger(Path(unquote(url.path)))
