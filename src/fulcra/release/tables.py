"""Every table of finished runs, as CSV and as parquet."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from fulcra.protocol.results.base import Value
from fulcra.protocol.results.changes import ChangesResult
from fulcra.release.finished import FinishedRun
from fulcra.store import write_bytes

Row = Mapping[str, object]
#: Parts of a branch that are tables of their own.
NESTED = {"curve", "pins", "outcomes", "triggers"}


def tables(result: ChangesResult, runs: Sequence[FinishedRun]) -> dict[str, pa.Table]:
    """The tables by name; one without rows is left out. No text of a completion is in them."""
    rows: dict[str, list[Row]] = {
        "figures": [_flat(entry) for entry in result.figures],
        "changes": [_flat(entry) for entry in result.changes],
        "branch_changes": [_flat(entry) for entry in result.branches],
        "branches": list(_branches(runs)),
        "triggers": list(_triggers(runs)),
        "doses": [{"run": r.name, **row} for r in runs for row in r.result.table().to_pylist()],
        "held": list(_held(runs)),
        "attacks": [{"run": r.name, **_flat(row)} for r in runs for row in r.result.context],
    }
    return {name: _table(own) for name, own in rows.items() if own}


def write_tables(folder: Path, named: Mapping[str, pa.Table]) -> None:
    """Write every table twice: NAME.csv and NAME.parquet."""
    for name, table in named.items():
        for suffix, write in (("csv", csv.write_csv), ("parquet", parquet.write_table)):
            sink = pa.BufferOutputStream()
            write(table, sink)
            write_bytes(folder / f"{name}.{suffix}", sink.getvalue().to_pybytes())


def _table(rows: Sequence[Row]) -> pa.Table:
    """Rows as a table, a column that only some have filled with nulls."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: [row.get(name) for row in rows] for name in columns})


def _flat(value: Value, prefix: str = "") -> dict[str, object]:
    """A value as one row; a value in it becomes columns of its own."""
    row: dict[str, object] = {}
    for name in type(value).model_fields:
        part = getattr(value, name)
        if isinstance(part, Value):
            row |= _flat(part, f"{prefix}{name}_")
        elif name not in NESTED:
            row[f"{prefix}{name}"] = part
    return row


def _branches(runs: Sequence[FinishedRun]) -> Iterator[Row]:
    """One row a committed branch or control: predictions, edges, verdict, outcomes at its gain."""
    for run in runs:
        for branch in run.result.neurons:
            outcomes = {f"outcome_{name}": rate for name, rate in branch.outcomes.items()}
            yield {"run": run.name, "branch": branch.name, **_flat(branch), **outcomes}


def _triggers(runs: Sequence[FinishedRun]) -> Iterator[Row]:
    for run in runs:
        for branch in run.result.branches:
            for edge in branch.triggers:
                yield {"run": run.name, "branch": branch.name, **_flat(edge)}


def _held(runs: Sequence[FinishedRun]) -> Iterator[Row]:
    for run in runs:
        for branch in run.result.branches:
            for pin in branch.pins:
                yield {"run": run.name, "neuron": branch.neuron, **_flat(pin)}
