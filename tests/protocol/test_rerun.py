"""Rollouts rolled again: a sound run comes out as it is stored, forged rows are named."""

from pathlib import Path
from typing import Any

import pytest

from fulcra.errors import InputError
from fulcra.protocol.rerun import noticed, rerun, sample_size
from fulcra.protocol.shards import read_rollouts
from fulcra.protocol.source import Sources
from fulcra.store import SEAL, SOURCE, read_json, write_json
from tests.rollouts import rewrite


def test_a_sound_run_comes_out_as_it_is_stored_whatever_rows_are_rolled_together(
    audited: Path,
) -> None:
    few, more = rerun(audited, "7", seed=3), rerun(audited, "60")
    assert few.passed, few.checks
    assert more.passed, more.checks
    assert (few.sample, more.sample, few.sealed, few.same_code) == (7, 60, True, True)
    assert "text_hash" in more.compared
    assert f"60 of {more.rows:,} drawn by the root" in more.checks[-1].detail


def test_forged_rows_are_named(run_copy: Path) -> None:
    rows: list[dict[str, Any]] = [dict(row) for row in read_rollouts(run_copy)]
    rewrite(run_copy, [row | {"tokens": row["tokens"] + 1, "ended": True} for row in rows])
    again = rerun(run_copy, "5")
    assert len(again.differences) == 5
    assert all("tokens" in each.fields for each in again.differences)
    assert [rows[each.row]["prompt"] in each.name for each in again.differences] == [True] * 5
    assert not again.checks[0].passed
    assert again.checks[0].name == f"rollout {again.differences[0].row}"


def test_a_rollout_that_the_plan_has_not_is_named(run_copy: Path) -> None:
    rows: list[dict[str, Any]] = [dict(row) for row in read_rollouts(run_copy)]
    rewrite(run_copy, [row | {"prompt": "confirmation-x"} for row in rows])
    assert {each.fields for each in rerun(run_copy, "3").differences} == {("trial",)}


def test_another_model_is_told(run_copy: Path) -> None:
    with pytest.raises(InputError, match="was made of another apothecary-sparse than"):
        rerun(run_copy, "1", sources=Sources(models=("apothecary-dense",)))
    source = read_json(run_copy / SOURCE)
    source["model"]["name"] = "gone"
    write_json(run_copy / SOURCE, source)
    with pytest.raises(InputError, match="its model cannot be opened again"):
        rerun(run_copy, "1")


def test_the_sample_follows_from_the_root_and_the_seed(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fulcra.protocol.rerun._rolled", lambda run, records, *rest: [None] * 20)

    def drawn(seed: int) -> list[int]:
        return [each.row for each in rerun(run_copy, "20", seed).differences]

    first = drawn(0)
    assert drawn(0) == first != drawn(1)
    seal = read_json(run_copy / SEAL)
    write_json(run_copy / SEAL, seal | {"rows": 1})
    assert drawn(0) != first


@pytest.mark.parametrize(
    ("rows", "sample", "share", "chance"),
    [(100, 1, 0.01, 0.01), (100, 100, 0.01, 1.0), (4, 2, 0.5, 5 / 6), (10, 10, 0.0001, 1.0)],
)
def test_the_chance_is_that_of_drawing_one_without_putting_back(
    rows: int, sample: int, share: float, chance: float
) -> None:
    assert noticed(rows, sample, share) == pytest.approx(chance)


def test_a_sample_is_a_share_or_a_number() -> None:
    sizes = [sample_size(text, 3000) for text in ("1%", "0.5%", "100%", "0.001%", "40", "9000")]
    assert sizes == [30, 15, 3000, 1, 40, 3000]
    for text in ("", "0", "0%", "101%", "-1", "1 %", "1e3", "x", "9" * 5000):
        with pytest.raises(InputError, match="expected a share such as 1% or a number such as 40"):
            sample_size(text, 3000)
