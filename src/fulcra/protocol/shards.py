"""Rollouts as shards: a measured part of a run is a table named by the digest of its content.

A shard is written once and never changed. At the end of a run rollouts.json lists its shards in
their order; what is not listed there is no rollout of the run.
"""

import hashlib
from collections.abc import Mapping, Sequence
from glob import escape
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from fulcra.disk import write_whole
from fulcra.errors import RunFolderError
from fulcra.protocol.records import CEILING, EARLIER, SCHEMA, Record, record_rows
from fulcra.protocol.results.base import fault_line
from fulcra.protocol.results.rollouts import NAMED, Shard, ShardList
from fulcra.store import (
    ROLLOUTS,
    SHARDS,
    WHOLE,
    read_json,
    read_rows,
    read_table,
    rows_in,
    write_json,
)
from fulcra.tables import ROWS, table_bytes

#: The steps of an audit that roll out, in the order in which its rollouts are read.
STEPS = (
    *("baseline", "selection", CEILING, "confirmation", "pins", EARLIER),
    *("context", "direction", "control"),
)
Rows = Sequence[Mapping[str, object]]


class StoredShard(NamedTuple):
    """A shard as its list or its name has it, the rows of the file, and the digest of its bytes."""

    shard: Shard
    rows: Rows
    sha256: str

    @property
    def fault(self) -> str | None:
        """What the file holds other than its list says; None where they agree."""
        listed = (self.shard.rows, self.shard.sha256)
        if listed == (len(self.rows), self.sha256):
            return None
        return (
            f"{self.shard.file}: listed with {self.shard.rows} rows, {self.shard.sha256[:NAMED]};"
            f" found {len(self.rows)}, {self.sha256[:NAMED]}"
        )


class Rollouts(NamedTuple):
    """The rollouts of a run in their order, and its shards; none in runs of the first versions."""

    rows: Rows
    shards: tuple[StoredShard, ...]


def store_shard(folder: Path, stage: str, number: int, records: Sequence[Record]) -> Shard:
    """The shard of these records, written under its name."""
    content = table_bytes(record_rows(records), SCHEMA)
    sha256 = hashlib.sha256(content).hexdigest()
    shard = Shard(stage=_plain(stage), number=number, rows=len(records), sha256=sha256)
    write_whole(folder / shard.file, content)
    return shard


def in_turn(shards: Sequence[Shard]) -> tuple[Shard, ...]:
    """The shards of an audit in the order in which its rollouts are read, whichever came first."""
    return tuple(sorted(shards, key=lambda shard: STEPS.index(shard.stage)))


def stored_shard(folder: Path, stage: str, number: int) -> StoredShard | None:
    """The shard of a part that stands; RunFolderError where its content is not what it is named."""
    names = f"{escape(_plain(stage))}-{number}.*.parquet"
    path = next(iter(sorted((folder / SHARDS).glob(names))), None)
    if path is None:
        return None
    content = read_table(path)
    sha256, rows = hashlib.sha256(content).hexdigest(), rows_in(path, content, SCHEMA)
    if path.name.split(".")[-2] != sha256[:NAMED]:
        raise RunFolderError(
            f"{path}: its content has the digest {sha256[:NAMED]}, not that of its name; remove it,"
            " and its rollouts are measured again"
        )
    shard = Shard(stage=_plain(stage), number=number, rows=len(rows), sha256=sha256)
    return StoredShard(shard, rows, sha256)


def _plain(stage: str) -> str:
    """The name of a step as the name of a file; models of a hub have a slash in theirs."""
    return stage.replace("/", "-")


def list_shards(folder: Path, shards: Sequence[Shard]) -> None:
    """Write the list of a run's shards: from now on these are its rollouts."""
    listed = ShardList(schema_version=1, shards=tuple(shards))
    write_json(folder / ROLLOUTS, listed.plain())


def has_rollouts(folder: Path) -> bool:
    """Whether a folder holds the list of its rollouts, or the one table of the first versions."""
    return (folder / ROLLOUTS).is_file() or (folder / WHOLE).is_file()


def read_rollouts(folder: Path) -> list[Mapping[str, object]]:
    """The rollouts of a run in their order; RunFolderError where one is not as it was listed."""
    rollouts = opened_rollouts(folder)
    if faults := [shard.fault for shard in rollouts.shards if shard.fault]:
        raise RunFolderError(f"{folder}: {faults[0]}; take the run's own file")
    return list(rollouts.rows)


def opened_rollouts(folder: Path) -> Rollouts:
    """The rollouts of a run as they stand, and the shards they come from.

    RunFolderError where a file is missing, broken or out of bounds.
    """
    if not (folder / ROLLOUTS).is_file():
        return Rollouts(read_rows(folder / WHOLE, SCHEMA), ())
    shards = tuple(_opened(folder, shard) for shard in _listed(folder))
    return Rollouts([row for shard in shards for row in shard.rows], shards)


def _listed(folder: Path) -> tuple[Shard, ...]:
    """The shards of a run's list, each once; RunFolderError where the list is none."""
    path = folder / ROLLOUTS
    try:
        shards = ShardList.model_validate(read_json(path)).shards
    except ValidationError as error:
        raise RunFolderError(
            f"reading {path}: {fault_line(error)}; expected what `fulcra audit` wrote"
        ) from None
    count = sum(shard.rows for shard in shards)
    if count > ROWS or len({shard.file for shard in shards}) < len(shards):
        fault = f"{count:,} rows, of at most {ROWS:,}" if count > ROWS else "a shard comes twice"
        raise RunFolderError(f"reading {path}: {fault}; expected what `fulcra audit` wrote")
    return shards


def _opened(folder: Path, shard: Shard) -> StoredShard:
    """A listed shard as its file stands."""
    path = folder / shard.file
    content = read_table(path)
    return StoredShard(shard, rows_in(path, content, SCHEMA), hashlib.sha256(content).hexdigest())
