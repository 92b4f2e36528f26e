"""Text files of any size: checked once, then read in pieces that end at a line, never held
whole.
"""

import codecs
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fulcra.errors import InputError

#: Characters of one piece; a longer line is cut at a space, and where it has none, anywhere.
PIECE = 1 << 16


class TextFile(NamedTuple):
    """A readable UTF-8 file that is not blank."""

    path: Path
    sha256: str
    characters: int


def text_files(paths: Sequence[Path]) -> tuple[TextFile, ...]:
    """The files as checked from end to end; InputError for the first that is missing, no file,
    blank or not UTF-8.
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
        found = (
            "a folder"
            if path.is_dir()
            else "something that is no file"
            if path.exists()
            else "nothing"
        )
        raise InputError(f"--text {path}: expected a UTF-8 text file, found {found} there")
    digest, decoder, characters, blank, read = (
        hashlib.sha256(),
        codecs.getincrementaldecoder("utf-8")(),
        0,
        True,
        0,
    )
    with path.open("rb") as source:
        last = False
        while not last:
            block = source.read(1 << 20)
            last, read = not block, read + len(block)
            digest.update(block)
            try:
                text = decoder.decode(block, last)
            except UnicodeDecodeError as error:
                at = read - len(error.object) + error.start
                raise InputError(
                    f"--text {path}: not UTF-8, byte {error.object[error.start]:#04x} at offset"
                    f" {at}; convert the file or leave it out"
                ) from None
            characters, blank = characters + len(text), blank and not text.strip()
    if blank:
        raise InputError(
            f"--text {path}: the file holds no text ({read} bytes); give one with words in it"
        )
    return TextFile(path, digest.hexdigest(), characters)
