"""The list of a run's rollouts, shard by shard, as rollouts.json holds it."""

from typing import Literal

from pydantic import Field

from fulcra.protocol.results.base import Value
from fulcra.protocol.results.seal import SHA256
from fulcra.store import SHARDS, canonical

#: Digits of its digest in the name of a shard.
NAMED = 16


class Shard(Value):
    """One table of rollouts: the step that measured them, which of its parts, and the content.

    `sha256` is the digest of the file's bytes; the name of the file follows from the rest.
    """

    stage: str = Field(pattern=r"^[^/\\\x00]{1,200}$")
    number: int = Field(ge=0)
    rows: int = Field(ge=0)
    sha256: str = Field(pattern=SHA256)

    @property
    def file(self) -> str:
        """Where the table stands in the folder of its run."""
        return f"{SHARDS}/{self.stage}-{self.number}.{self.sha256[:NAMED]}.parquet"

    @property
    def leaf(self) -> bytes:
        """What the tree of a seal holds of the shard: the canonical bytes of its entry."""
        return canonical(self.plain())


class ShardList(Value):
    """Every shard of a run, in the order in which its rollouts are read."""

    schema_version: Literal[1]
    shards: tuple[Shard, ...]
