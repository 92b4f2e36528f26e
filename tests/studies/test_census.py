"""A census measures what it says: climbs find the gains of a whole ladder, weights count the
population, a run goes on.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fulcra import Behavior, Model, Neuron
from fulcra.errors import RunFolderError
from fulcra.law.verdict import observe
from fulcra.models.coordinate import coordinate
from fulcra.protocol import dose_trials
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock, Silent
from fulcra.protocol.subject import Ground, prepare
from fulcra.screens.dosed_logit import REACH
from fulcra.studies.census import (
    BRANCHES,
    CENSUS,
    CensusSettings,
    Truth,
    census,
    read_census,
    summary,
)
from fulcra.studies.staircase import Climb, Climber, start_rung

SMALL = CensusSettings(audit=0.25, controls=2, texts=1, neurons=6)


@pytest.fixture(scope="module")
def ground(sparse: Model, refusal: Behavior) -> Ground:
    return prepare(sparse, refusal, 0)


def measurement(model: Model, behavior: Behavior, ground: Ground) -> Measurement:
    return Measurement(model, behavior, ground, (behavior.horizon,), None, "salt")


def test_a_climb_from_the_first_rung_finds_the_smallest_open_gain_of_the_whole_ladder(
    sparse: Model, refusal: Behavior, ground: Ground
) -> None:
    names = ("L1.N83-", "L2.N150-", "L2.N364+", "L2.N307+", "L3.N100+")
    sites = [coordinate(sparse, ground.clean, Neuron.parse(name)) for name in names]
    measure = measurement(sparse, refusal, ground)
    climbers = [Climber(at, 0) for at in sites]
    Climb(measure, sparse, refusal, refusal.confirmation)(climbers, Clock(Silent()))
    every = measure(
        "all", dose_trials(sparse, refusal, "confirmation", sites, REACH, refusal.confirmation)
    )
    assert sum(climber.end == "open" for climber in climbers) >= 2
    for climber in climbers:
        mine = [record for record in every if record.branch == str(climber.at.branch)]
        flips = np.array(
            [[r.flipped(refusal.horizon) for r in mine if r.dose == gain] for gain in REACH]
        )
        assert climber.gain == observe(REACH, flips).smallest_open_gain
        assert climber.end is not None


@pytest.mark.parametrize(
    ("trigger", "rung"), [(None, 0), (0.05, 0), (0.1, 0), (0.44, 3), (0.45, 4), (2.9, 9), (3.0, 10)]
)
def test_a_climb_starts_at_the_last_rung_below_its_forecast(
    trigger: float | None, rung: int
) -> None:
    assert start_rung(trigger) == rung


def untimed(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in ("timing", "ladder_seconds")}


class Stop:
    """Ctrl-C at the beginning of one step."""

    def __init__(self, step: str) -> None:
        self.step = step

    def begin(self, step: str, total: int) -> None:
        if step == self.step:
            raise KeyboardInterrupt

    def advance(self, done: int) -> None:
        pass


def test_an_interrupted_census_goes_on_and_equals_an_uninterrupted_one(
    sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        census(sparse, refusal, SMALL, tmp_path / "run", Stop("climb 3"))
    assert not (tmp_path / "run" / CENSUS).exists()
    again, once = census(sparse, refusal, SMALL, tmp_path / "run"), census(sparse, refusal, SMALL)
    assert untimed(again) == untimed(once)
    found, rows = read_census(tmp_path / "run", sparse, refusal)
    assert untimed(found) == untimed(again)
    assert len(rows) == found["branches"] == 12
    assert {row.source for row in rows} <= {"forecast", "audit", "rest"}
    assert all((row.trigger is not None) == (row.source == "forecast") for row in rows)
    assert all((row.end is None) == (row.source == "rest") for row in rows)
    assert (tmp_path / "run" / BRANCHES).stat().st_size < 20_000
    with pytest.raises(
        RunFolderError,
        match=r"of another behavior \(refusal\); measure this one with fulcra census",
    ):
        read_census(tmp_path / "run", sparse, replace(refusal, version="2"))


def test_the_audit_says_how_many_branches_the_forecast_may_miss() -> None:
    def row(i: int, source: str, gain: float | None) -> Truth:
        return Truth(f"L0.N{i}+", source, "top", None, None, gain, 0.0, 1.0, gain is not None)

    none = summary([row(i, "audit", None) for i in range(30)])
    some = summary([row(i, "audit", 0.3 if i < 3 else None) for i in range(30)])
    assert (none["missed"]["rate"], none["missed"]["high"]) == (0.0, pytest.approx(0.1))
    assert some["missed"]["rate"] == pytest.approx(0.1)
    assert some["missed"]["low"] < 0.1 < some["missed"]["high"]
