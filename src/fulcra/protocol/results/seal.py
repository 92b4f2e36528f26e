"""The seal of a finished run, value by value, as seal.json holds it."""

from typing import Literal

from pydantic import Field

from fulcra.protocol.results.base import Value
from fulcra.store import digest

#: sha256 in hex digits.
SHA256 = r"^[0-9a-f]{64}$"
#: Characters of a number in a ledger: more runs than anyone makes, and quick to read.
MOST = 10**9


class SealedFile(Value):
    """The digest of a file's bytes, and how many they are."""

    sha256: str = Field(pattern=SHA256)
    size: int = Field(ge=0)


class Seal(Value):
    """The digest of every file of a run, of every block of audit.json and of every shard.

    `shards_root` is the Merkle root over the shards of the rollouts in their order; `plotly` the
    release that drew the report; `root` the digest of all the rest.
    """

    schema_version: Literal[2]
    files: dict[str, SealedFile]
    blocks: dict[str, str]
    rows: int
    shards_root: str = Field(pattern=SHA256)
    plotly: str
    root: str = Field(pattern=SHA256)

    @property
    def made_root(self) -> str:
        """The root made again from what the seal holds."""
        return digest({key: value for key, value in self.plain().items() if key != "root"})


class Link(Value):
    """The number of an entry and its hash."""

    number: int = Field(ge=1, le=MOST)
    sha256: str = Field(pattern=SHA256)
