"""Prompt sets from a dataset: sets of one column never share a prompt."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from fulcra.behaviors import load_behavior
from fulcra.behaviors.schema import SIZES
from fulcra.behaviors.sets import deal_columns
from fulcra.errors import BehaviorError

ROWS: dict[str, list[object]] = {
    "asked": [*(f"asked {i}" for i in range(80)), None, " ", "asked 3"],
    "told": [f"told {i}" for i in range(32)],
}


def test_sets_of_one_column_take_its_rows_in_turn() -> None:
    sets = deal_columns(
        {"positive": "asked", "negative": "told", "selection": "asked", "confirmation": "asked"},
        ROWS,
        SIZES,
    )
    assert {name: len(texts) for name, texts in sets.items()} == SIZES
    assert sets["positive"] + sets["selection"] + sets["confirmation"] == tuple(
        f"asked {i}" for i in range(56)
    )


def test_a_column_that_runs_out_is_named() -> None:
    with pytest.raises(
        BehaviorError,
        match=(
            r"source column 'told': 0 distinct texts left, selection needs 8; take a larger split"
        ),
    ):
        deal_columns({"negative": "told", "selection": "told"}, ROWS, ("negative", "selection"))


def test_a_set_without_column_is_named() -> None:
    with pytest.raises(
        BehaviorError,
        match=r"no column for selection, and selection is not given; name one of asked, told",
    ):
        deal_columns({"positive": "asked"}, ROWS, ("selection",))


@pytest.mark.skipif(
    find_spec("datasets") is not None, reason="the package datasets is installed here"
)
def test_without_the_package_the_error_says_what_to_install(tmp_path: Path) -> None:
    source = {
        "dataset": "some/name",
        "revision": "main",
        "split": "train",
        "columns": {"positive": "a"},
    }
    written = {"name": "x", "version": "1", "flip": {"regex": "a"}, "horizon": 8, "source": source}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    with pytest.raises(
        BehaviorError,
        match=(
            r"source 'some/name': needs the package datasets, found none; pip install datasets, or"
            r" list prompts"
        ),
    ):
        load_behavior(tmp_path / "x.yaml")
