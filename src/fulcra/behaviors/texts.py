"""Text files of any size: checked once, then read in pieces that end at a line."""

import codecs
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fulcra.errors import InputError

#: Characters of one piece; a longer line is cut at a space, and where it has none, anywhere.
PIECE = 1 << 16
#: Bytes read at once to check a file.
BLOCK = 1 << 20


class TextFile(NamedTuple):
    """A readable UTF-8 file that is not blank."""

    path: Path
    sha256: str
    characters: int


def text_files(paths: Sequence[Path]) -> tuple[TextFile, ...]:
    """The files, checked from end to end.

    InputError for the first that is missing, no file, blank or not UTF-8.
    """
    if not paths:
        raise InputError("--text: no file was given; name one or more UTF-8 text files")
    return tuple(_checked(path) for path in paths)


def pieces(file: TextFile) -> Iterator[str]:
    """The file's text in pieces of at most 3 PIECE characters; together they are the whole text."""
    left = ""
    with file.path.open(encoding="utf-8", newline="") as source:
        while part := source.read(PIECE):
            left += part
            cut = left.rfind("\n") + 1 or left.rfind(" ") + 1 or len(left)
            yield left[:cut]
            left = left[cut:]
    if left:
        yield left


def _checked(path: Path) -> TextFile:
    if not path.is_file():
        entry = "something that is no file" if path.exists() else "nothing"
        entry = "a folder" if path.is_dir() else entry
        raise InputError(f"--text {path}: expected a UTF-8 text file, found {entry} there")
    digest, characters, blank = hashlib.sha256(), 0, True
    for text in _decoded(path, digest.update):
        characters += len(text)
        blank = blank and not text.strip()
    if blank:
        raise InputError(
            f"--text {path}: the file holds no text ({path.stat().st_size} bytes); give one with"
            " words in it"
        )
    return TextFile(path, digest.hexdigest(), characters)


def _decoded(path: Path, update: Callable[[bytes], None]) -> Iterator[str]:
    """The text of a file block by block, whose bytes `update` gets; InputError where not UTF-8."""
    decoder, read, last = codecs.getincrementaldecoder("utf-8")(), 0, False
    with path.open("rb") as file:
        while not last:
            block = file.read(BLOCK)
            last, read = not block, read + len(block)
            update(block)
            try:
                text = decoder.decode(block, last)
            except UnicodeDecodeError as error:
                offset = read - len(error.object) + error.start
                raise InputError(
                    f"--text {path}: not UTF-8, byte {error.object[error.start]:#04x} at offset"
                    f" {offset}; convert the file or leave it out"
                ) from None
            yield text
