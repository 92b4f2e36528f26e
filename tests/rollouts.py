"""The rollouts of a finished run rewritten, as someone would who knows how they are kept."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from fulcra.protocol.records import SCHEMA
from fulcra.protocol.results.rollouts import Shard
from fulcra.protocol.shards import list_shards, opened_rollouts
from fulcra.tables import table_bytes


def rewrite(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Other rollouts in shards of the same sizes, named and listed anew; the rest in the last."""
    shards = [stored.shard for stored in opened_rollouts(folder).shards]
    start, written = 0, list[Shard]()
    for place, shard in enumerate(shards):
        end = len(rows) if place == len(shards) - 1 else start + shard.rows
        (folder / shard.file).unlink()
        written.append(put_shard(folder, shard, rows[start:end]))
        start = end
    list_shards(folder, written)


def put_shard(folder: Path, shard: Shard, rows: Sequence[Mapping[str, object]]) -> Shard:
    """The shard with other rows, written under the name that these have."""
    content = table_bytes(rows, SCHEMA)
    sha256 = hashlib.sha256(content).hexdigest()
    other = shard.model_copy(update={"rows": len(rows), "sha256": sha256})
    (folder / other.file).write_bytes(content)
    return other
