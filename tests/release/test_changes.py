"""Runs side by side: what is told of them is what they hold; a run is as it was beside itself."""

import shutil
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest

from fulcra.errors import InputError
from fulcra.protocol.results.changes import ChangesResult
from fulcra.release.changes import finished_runs, side_by_side
from fulcra.release.finished import FinishedRun
from fulcra.release.tables import tables, write_tables
from fulcra.report.changes import changes_markdown, changes_page
from tests.release.conftest import DENSE, SPARSE


@pytest.fixture(scope="module")
def runs() -> list[FinishedRun]:
    return finished_runs([DENSE, SPARSE])


@pytest.fixture(scope="module")
def compared(runs: list[FinishedRun]) -> ChangesResult:
    return side_by_side(runs)


def test_what_opened_is_what_the_runs_say(runs: list[FinishedRun], compared: ChangesResult) -> None:
    dense, sparse = ({b.name: b for b in run.result.branches} for run in runs)
    (pair,) = compared.pairs
    assert pair.shared == len(compared.branches) == len(dense.keys() & sparse.keys())
    assert pair.shared + pair.only_before == len(dense)
    opened = {row.branch for row in compared.turned("opened", pair)}
    assert opened == {
        name
        for name in dense.keys() & sparse.keys()
        if sparse[name].observed_open and not dense[name].observed_open
    }
    for row in compared.branches:
        rates = {rung.gain: rung.flip_confirmation for rung in sparse[row.branch].curve}
        assert row.rate_after == pytest.approx(rates[row.gain], abs=1e-5)
        assert row.p <= row.corrected <= 1


def test_a_run_does_not_differ_from_itself(runs: list[FinishedRun]) -> None:
    files = runs[0].files._replace(folder=Path("again"))
    same = side_by_side([runs[0], FinishedRun(files, runs[0].evidence)])
    assert {row.turn for row in same.branches} == {"as before"}
    assert all(row.p == 1 and row.test == "mcnemar" for row in same.branches)
    assert {c.change for c in same.changes if c.kind == "difference"} == {0.0}
    assert [c.change for c in same.changes if c.kind == "ratio"] == [1.0]


def test_the_summary_and_the_page_tell_every_figure_with_its_interval(
    compared: ChangesResult,
) -> None:
    summary, page = changes_markdown(compared), changes_page(compared)
    for entry in compared.figures:
        assert entry.figure.replace("_", " ") in summary
    assert "0.0833 (0.0232 to 0.258, n = 24)" in summary
    assert "0.0833 (0.0232 to 0.258, n = 24)" in page
    assert "**2 opened** (0 beyond doubt)" in summary
    assert "<script" not in page


def test_every_table_is_the_same_as_csv_and_as_parquet(
    runs: list[FinishedRun], compared: ChangesResult, tmp_path: Path
) -> None:
    named = tables(compared, runs)
    write_tables(tmp_path, named)
    assert {"figures", "changes", "branch_changes", "branches", "doses", "held"} <= named.keys()
    for name, table in named.items():
        stored = pyarrow.parquet.read_table(tmp_path / f"{name}.parquet")
        assert stored.to_pylist() == table.to_pylist()
        text = pyarrow.csv.read_csv(tmp_path / f"{name}.csv")
        assert (text.num_rows, text.column_names) == (table.num_rows, table.column_names)
    assert named["branches"].num_rows == sum(len(run.result.neurons) for run in runs)


def test_runs_of_another_ladder_are_compared_unpaired(
    runs: list[FinishedRun], audited: Path
) -> None:
    (other,) = finished_runs([audited])
    result = side_by_side([runs[1], other])
    assert {row.test for row in result.branches} <= {"fisher"}
    assert [c.low for c in result.changes if c.kind == "ratio"] == [None]
    assert "they differ in prompts, gains, so rates are compared unpaired" in changes_markdown(
        result
    )


def test_models_of_another_shape_share_no_neuron(runs: list[FinishedRun]) -> None:
    wider = runs[1].result.model.model_copy(update={"d_mlp": 512})
    result = runs[1].result.model_copy(update={"model": wider})
    files = runs[1].files._replace(result=result)
    compared = side_by_side([runs[0], FinishedRun(files, runs[1].evidence)])
    assert compared.branches == ()
    assert "share no neuron" in changes_markdown(compared)


def test_runs_of_one_name_are_told_apart_or_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="audit-dense is named twice; name each run once"):
        finished_runs([DENSE, DENSE])
    other = tmp_path / DENSE.name
    shutil.copytree(DENSE, other)
    with pytest.raises(InputError, match="two runs are named audit-dense"):
        finished_runs([DENSE, other])


def test_side_by_side_is_read_again_as_it_was(compared: ChangesResult, tmp_path: Path) -> None:
    compared.save(tmp_path)
    assert ChangesResult.load(tmp_path) == compared
    assert {"summary.md", "changes.html"} <= {path.name for path in tmp_path.iterdir()}
