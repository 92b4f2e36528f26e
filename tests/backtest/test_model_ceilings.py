"""Ceilings of one model: predictions are on disk before anything is dosed, and stay there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fulcra import Model
from fulcra.backtest import ceilings as measuring
from fulcra.backtest.model_ceilings import PREDICTIONS, CeilingSettings, model_ceilings, predictors
from fulcra.errors import InputError, RunFolderError
from fulcra.protocol.results.model_ceilings import ModelCeilings
from fulcra.protocol.witness.ledger import Ledger
from fulcra.store import digest, read_json, write_json

pytestmark = pytest.mark.slow

SMALL = CeilingSettings(neurons=1, horizon=12, methods=("kl_ladder", "family_constant"))


@pytest.fixture(scope="module")
def measured(sparse: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small study."""
    out = tmp_path_factory.mktemp("ceilings") / "run"
    model_ceilings(sparse, out, SMALL)
    return out


def test_every_branch_has_its_prediction_and_its_ceiling(measured: Path, sparse: Model) -> None:
    result, stored = ModelCeilings.load(measured), read_json(measured / PREDICTIONS)
    assert len(result.rows) == 2 * sparse.n_layers
    assert stored["sha256"] == result.predictions_sha256 == digest(stored["content"])
    assert [row.branch for row in result.rows] == stored["content"]["branches"]
    for name, column in stored["content"]["predicted"].items():
        assert [row.plain()["predicted"][name] for row in result.rows] == column
    assert set(result.scores) == {"kl_ladder", "family_constant"}
    assert result.kl_95.n == result.kl_at_ceiling.n > 0
    assert (result.kl_95.median or 0) > (result.kl_at_ceiling.median or 0)
    assert "before the first dosed rollout" in "\n".join(result.lines())


def test_predictions_stand_before_anything_is_measured(
    sparse: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        assert (tmp_path / "run" / PREDICTIONS).is_file()
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "measured_ceilings", stopped)
    with pytest.raises(KeyboardInterrupt):
        model_ceilings(sparse, tmp_path / "run", SMALL)


def test_a_finished_study_is_read_and_other_predictions_are_refused(
    measured: Path, sparse: Model
) -> None:
    first = ModelCeilings.load(measured)
    assert model_ceilings(sparse, measured, SMALL).rows == first.rows
    stored = read_json(measured / PREDICTIONS)
    stored["content"]["budgets"][0] *= 2
    write_json(measured / PREDICTIONS, stored)
    with pytest.raises(RunFolderError, match="other predictions"):
        model_ceilings(sparse, measured, SMALL)
    with pytest.raises(RunFolderError, match="another run"):
        model_ceilings(sparse, measured, replace(SMALL, seed=1))


def test_predictions_are_entered_in_the_ledger_before_anything_is_measured(
    sparse: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, seen = tmp_path / "ledger", list[str]()
    measure = measuring.measured_ceilings

    def watched(*args: Any, **kwargs: Any) -> object:
        seen.append(Ledger(ledger).sound().entries[-1].commitment)
        return measure(*args, **kwargs)

    monkeypatch.setattr(measuring, "measured_ceilings", watched)
    result = model_ceilings(sparse, tmp_path / "run", SMALL, ledger=ledger)
    entries = Ledger(ledger).sound().entries
    assert set(seen) == {result.predictions_sha256}
    assert [entry.kind for entry in entries] == ["commitment", "outcome"]
    assert entries[1].outcome is not None
    assert entries[1].outcome.counts == {"ceilings": len(result.rows)}


def test_a_predictor_that_there_is_not_is_named() -> None:
    assert predictors("kl_ladder, family_constant") == ("kl_ladder", "family_constant")
    with pytest.raises(InputError, match=r"no 'kl'; there are .*kl_ladder"):
        predictors("kl")
