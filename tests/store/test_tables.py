"""Tables: the same bytes for the same rows, and a hostile file refused before it is unpacked."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from fulcra.errors import RunFolderError
from fulcra.protocol.records import SCHEMA
from fulcra.store import read_rows
from fulcra.tables import ROWS, table_bytes, table_rows
from tests.promptly import promptly

ROW = {"stage": "baseline", "horizons": [8, 32], "outcomes": ["flipped", "collapse"], "dose": 0.1}


def written(path: Path, table: pa.Table, **options: object) -> Path:
    parquet.write_table(table, path, compression="zstd", store_schema=False, **options)
    return path


def of_indices(count: int, *values: str) -> pa.Array:
    """So many times the first of some texts, each of which stands in the file once."""
    return pa.DictionaryArray.from_arrays(pa.array([0]).take(pa.array([0] * count)), list(values))


def bombs(folder: Path) -> dict[str, Path]:
    """Files of a few kilobytes, by what is too large in them."""
    zeros, stage = pa.array([0], pa.int64()), ["x" * 3_000_000]
    many = zeros.take(pa.array([0] * (ROWS + 1)))
    page = {"dictionary_pagesize_limit": 1 << 30}
    long = pa.ListArray.from_arrays(pa.array([0, 40_000_000], pa.int32()), pa.nulls(40_000_000))
    deep = pa.array([[[1]]])
    wide = {f"c{i}": zeros for i in range(70)}
    return {
        "rows": written(folder / "rows", pa.table({"tokens": many})),
        "values": written(folder / "values", pa.table({"cuts": long.cast(pa.list_(pa.int64()))})),
        "bytes of text": written(
            folder / "texts", pa.table({"stage": of_indices(400, *stage)}), **page
        ),
        "columns": written(folder / "wide", pa.table(wide)),
        "nested levels": written(folder / "deep", pa.table({"cuts": deep})),
    }


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return bombs(tmp_path_factory.mktemp("bombs"))


@pytest.mark.parametrize("fault", ["rows", "values", "bytes of text", "columns", "nested levels"])
def test_a_bomb_is_refused_in_one_line_and_at_once(hostile: dict[str, Path], fault: str) -> None:
    path = hostile[fault]
    assert path.stat().st_size < 1 << 20
    refused = f"[0-9,]+ {fault}, of at most [0-9,]+; expected"
    with promptly(), pytest.raises(RunFolderError, match=refused) as e:
        read_rows(path, SCHEMA)
    assert len(str(e.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.table({"dose": ["much"]}), "column dose is string, expected double"),
        (pa.table({"outcomes": ["flipped"]}), r"column outcomes is string, expected list<.*>"),
        (pa.table({"stage": [b"x"]}), "column stage is binary, expected string"),
        (pa.table({"tokens": [{"n": 1}]}), "column tokens is struct<.*>, expected int64"),
        (pa.table({"note": ["x"]}), "an unknown column 'note'"),
        (pa.table([["a"], ["b"]], names=["stage", "stage"]), "a column comes twice"),
    ],
)
def test_a_column_of_another_type_is_named(tmp_path: Path, column: pa.Table, message: str) -> None:
    path = written(tmp_path / "table", column)
    with pytest.raises(RunFolderError, match=f"{message}; expected a table written by fulcra"):
        read_rows(path, SCHEMA)


def test_a_pipe_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="expected a file, found a pipe or device"):
        read_rows(Path("/dev/zero"))


def test_rows_come_back_as_they_were_and_lacking_columns_are_left_out() -> None:
    few = pa.schema([SCHEMA.field(name) for name in ROW])
    content = table_bytes([ROW, ROW], few)
    assert content == table_bytes([ROW, ROW], few)
    assert table_rows(content, SCHEMA) == [ROW, ROW]
    assert table_rows(table_bytes([], SCHEMA), SCHEMA) == []


def test_a_footer_that_would_end_the_process_is_refused(tmp_path: Path) -> None:
    """Found by fuzzing: on this byte pyarrow aborts when it is asked for a column's sizes."""
    table = Path(__file__).parents[2] / "docs" / "evidence" / "audit-sparse" / "rollouts.parquet"
    content = bytearray(table.read_bytes())
    content[-2975] = 0x6E
    (tmp_path / "rollouts.parquet").write_bytes(content)
    with pytest.raises(RunFolderError, match="its footer does not describe its columns"):
        read_rows(tmp_path / "rollouts.parquet", SCHEMA)
