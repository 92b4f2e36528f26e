"""The one rule for text: what a completion of a sensitive behavior leaves behind, anywhere.

Of such a completion stay its labels, its length and its salted hash. Asked to keep texts, a run
writes them to a file of its own that only its owner can read (store.TEXTS, mode 0600), and nowhere
else. Every place that writes or shows words asks here.
"""

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from fulcra.errors import RunFolderError
from fulcra.store import MANIFEST, PRIVATE, SALT, digest, read_json, write_text

#: The rows of texts.parquet: completions of a sensitive behavior by their hash.
TEXTS_SCHEMA = pa.schema([("text_hash", pa.string()), ("text", pa.string())])


def text_hash(salt: str, text: str) -> str:
    """The salted hash of a completion: all that stays of sensitive words but length and labels."""
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()[:16]


def private_salt(folder: Path) -> str:
    """The random salt of a run of a sensitive behavior, drawn once and kept for its owner only.

    An interrupted run finds it again, so that its hashes stay what they were.
    """
    if not (folder / SALT).exists():
        write_text(folder / SALT, secrets.token_hex(16), PRIVATE)
    return _salt(folder / SALT)


def salt_of(folder: Path) -> str:
    """What the hashes of a run's texts are salted with; that of public words is its manifest."""
    path = folder / SALT
    return _salt(path) if path.exists() else digest(read_json(folder / MANIFEST))


def _salt(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RunFolderError(f"reading {path}: {error}; expected a file of its owner") from None


class Told(NamedTuple):
    """What may be told of a completion: its text where allowed; its length [characters], hash."""

    text: str
    characters: int
    text_hash: str


def told(text: str, sensitive: bool, salt: str) -> Told:
    """What of a completion may stand in a table, log, report or on a screen."""
    return Told("" if sensitive else text, len(text), text_hash(salt, text))


def kept_rows(texts: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """(hash, text) pairs as rows of the private file, every text once."""
    return [{"text_hash": hashed, "text": text} for hashed, text in dict(texts).items()]
