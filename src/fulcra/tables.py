"""Parquet tables as bytes, and back within bounds: a hostile file is told before it is unpacked."""

import faulthandler
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

#: Bounds of a table; the largest of ours, an audit of 300,000 rollouts, stays far below.
FILE_BYTES, UNPACKED_BYTES = 1 << 28, 1 << 30
ROWS, COLUMNS, VALUES, ROW_GROUPS = 1_000_000, 64, 1 << 25, 1 << 10
#: Nested levels: a list in a row is one.
LISTS = 1
#: What the footer of a table may hold of one kind: schema entries, row groups; bytes of one text.
FOOTER_ITEMS, FOOTER_BYTES = 1 << 12, 1 << 20


def table_bytes(rows: Sequence[Mapping[str, object]], schema: "pa.Schema") -> bytes:
    """The bytes of a parquet file of `rows`, the same for the same rows and release of pyarrow."""
    import pyarrow as pa
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    parquet.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def table_rows(content: bytes, schema: "pa.Schema | None" = None) -> list[dict[str, object]]:
    """The rows of a parquet file; ValueError where it is none, out of bounds, or of another schema.

    A column of `schema` may be missing; one that it lacks, or of another type, is refused.
    """
    import pyarrow as pa

    try:
        metadata = _opened(content).metadata
        _require_small(metadata, hashlib.sha256(content).digest())
        if schema is not None:
            _require_types(_opened(content).schema_arrow, schema)
        table = _opened(content, _texts(metadata)).read()
        _require_unpackable(table)
        return list(table.to_pylist())
    except (OSError, MemoryError, TypeError, pa.ArrowException) as error:
        raise ValueError((str(error) or type(error).__name__).splitlines()[0]) from None


def _opened(content: bytes, texts: Sequence[str] = ()) -> "parquet.ParquetFile":
    """The table of a file's bytes, each text of the columns `texts` held once."""
    import pyarrow as pa
    from pyarrow import parquet

    return parquet.ParquetFile(
        pa.BufferReader(content),
        read_dictionary=list(texts),
        thrift_container_size_limit=FOOTER_ITEMS,
        thrift_string_size_limit=FOOTER_BYTES,
    )


def _require_small(metadata: "parquet.FileMetaData", digest: bytes) -> None:
    """ValueError where the footer says that the table is out of bounds.

    `digest`: of the file, whose footer is tried once a process.
    """
    _require("row groups", metadata.num_row_groups, ROW_GROUPS)
    _require("columns", metadata.num_columns, COLUMNS)
    _require("rows", metadata.num_rows, ROWS)
    columns = [metadata.schema.column(i) for i in range(metadata.num_columns)]
    _require("nested levels", max((c.max_repetition_level for c in columns), default=0), LISTS)
    if digest not in _SOUND:
        _require_sound(metadata)
        _SOUND.add(digest)
    chunks = list(_chunks(metadata))
    _require("values", sum(chunk.num_values for chunk in chunks), VALUES)
    _require("bytes unpacked", sum(c.total_uncompressed_size for c in chunks), UNPACKED_BYTES)


#: The files whose footers a child has tried: a fork of a process that holds a model is dear.
_SOUND: set[bytes] = set()


def _require_sound(metadata: "parquet.FileMetaData") -> None:
    """ValueError where pyarrow would end the process over a footer: a child tries it first.

    pyarrow 26 lets no exception out of a column's metadata, it aborts. Where processes cannot fork
    nothing is tried.
    """
    if not hasattr(os, "fork"):
        return
    child = os.fork()
    if child == 0:
        try:
            faulthandler.disable()
            os.close(2)  # its last words
            list(_chunks(metadata))
        finally:
            os._exit(0)
    if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        raise ValueError("its footer does not describe its columns")


def _chunks(metadata: "parquet.FileMetaData") -> Iterator["parquet.ColumnChunkMetaData"]:
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        yield from (group.column(j) for j in range(group.num_columns))


def _texts(metadata: "parquet.FileMetaData") -> list[str]:
    """The paths of the columns that hold texts."""
    columns = [metadata.schema.column(i) for i in range(metadata.num_columns)]
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


def _require(what: str, count: int, limit: int) -> None:
    if not 0 <= count <= limit:
        raise ValueError(f"{count:,} {what}, of at most {limit:,}")


def _require_types(stored: "pa.Schema", schema: "pa.Schema") -> None:
    """ValueError where a column is unknown, doubled or of another type."""
    if len(set(stored.names)) < len(stored.names):
        raise ValueError("a column comes twice")
    for field in stored:
        place = schema.get_field_index(field.name)
        if place < 0:
            raise ValueError(f"an unknown column {field.name[:60]!r}")
        if schema.field(place).type != field.type:
            wanted = schema.field(place).type
            raise ValueError(f"column {field.name} is {str(field.type)[:60]}, expected {wanted}")


def _require_unpackable(table: "pa.Table") -> None:
    """ValueError where texts that stand in the file once would fill the memory, row by row."""
    sizes = (_unpacked(chunk) for column in table.columns for chunk in column.chunks)
    _require("bytes of text", sum(sizes), UNPACKED_BYTES)


def _unpacked(column: "pa.Array") -> int:
    """The bytes of a column's texts, repeated ones counted again; 0 of other columns."""
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_list(column.type):
        column = column.flatten()
    if not pa.types.is_dictionary(column.type):
        return 0
    lengths = compute.binary_length(column.dictionary).cast(pa.int64())
    return int(compute.sum(lengths.take(column.indices)).as_py() or 0)
