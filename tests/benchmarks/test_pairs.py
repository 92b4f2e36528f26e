"""A benchmark row says what was measured: medians of pairs, honest intervals, results compared."""

import dataclasses
import importlib.util
import itertools
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
FIELDS = "name ours_s peer peer_s ratio overhead low high null_low null_high equal_results".split()


@pytest.fixture(scope="module")
def pairs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pairs", FOLDER / "pairs.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["pairs"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_interval_covers_the_median_at_95_percent(pairs: ModuleType) -> None:
    assert pairs.median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    assert pairs.median_interval(list(range(1, 10))) == (2, 8)


def test_ratio_is_peer_over_ours_and_unequal_results_are_told(
    pairs: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(pairs.time, "process_time", lambda: float(next(clock)))

    def slow() -> int:
        for _ in range(3):
            next(clock)
        return 1

    row = pairs.compare("x", "slow", [(lambda: 1, slow)] * 3, lambda a, b: a == b)
    assert (
        row.ratio,
        row.overhead,
        row.low,
        row.high,
        row.null_low,
        row.null_high,
        row.equal_results,
    ) == (
        4.0,
        0.25,
        4.0,
        4.0,
        1.0,
        1.0,
        True,
    )
    assert not pairs.compare("x", "slow", [(lambda: 2, slow)], lambda a, b: a == b).equal_results


def test_a_row_has_the_fields_of_results_json(pairs: ModuleType) -> None:
    assert [field.name for field in dataclasses.fields(pairs.Row)] == FIELDS
    assert list(pairs.alone("x", lambda: 1)[0].json()) == FIELDS


def test_the_stored_results_are_of_equal_outputs() -> None:
    stored = FOLDER / "results.json"
    for row in json.loads(stored.read_text()) if stored.is_file() else []:
        assert list(row) == FIELDS
        assert row["equal_results"] in (True, None)
