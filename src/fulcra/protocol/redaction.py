"""The one rule for text: what a completion of a sensitive behavior leaves behind, anywhere.

Of such a completion stay its labels, its length and its salted hash. Asked to keep texts, a run
writes them to a file of its own that only its owner can read (store.TEXTS, mode 0600), and nowhere
else. Every place that writes or shows words asks here.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import pyarrow as pa

#: The rows of texts.parquet: completions of a sensitive behavior by their hash.
TEXTS_SCHEMA = pa.schema([("text_hash", pa.string()), ("text", pa.string())])


def text_hash(salt: str, text: str) -> str:
    """The salted hash of a completion: all that stays of sensitive words but length and labels."""
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()[:16]


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
    return [{"text_hash": digest, "text": text} for digest, text in dict(texts).items()]
