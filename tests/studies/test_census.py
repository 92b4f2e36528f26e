"""A census measures what it says: climbs, weights, and a run that goes on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fulcra import Behavior, Model, Neuron
from fulcra.errors import RunFolderError
from fulcra.law.verdict import observe
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock, Silent
from fulcra.protocol.results.base import Timing
from fulcra.protocol.results.census import (
    BRANCHES,
    SCHEMA,
    BranchSource,
    CensusResult,
    CensusSettings,
    LadderSeconds,
    MeasuredBranch,
    Undosed,
    read_census,
)
from fulcra.protocol.runs import model_entry, named
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import dose_trials
from fulcra.screens.dosed_logit import REACH
from fulcra.store import write_rows
from fulcra.studies.census import census, open_counts
from fulcra.studies.staircase import Climb, Climber, start_rung

SMALL = CensusSettings(audit=0.25, controls=2, texts=1, neurons=6)


def write_census(
    folder: Path,
    model: Model,
    behavior: Behavior,
    branches: Sequence[MeasuredBranch],
    seconds: float,
) -> None:
    """A made-up census of a model, as `census` would have written it."""
    result = CensusResult(
        schema_version=1,
        model=model_entry(model),
        behavior=named(behavior),
        settings=CensusSettings(),
        gains=REACH,
        baseline=Undosed(rate=1.0, leak=0.0, n=16),
        controls=(None,),
        **dict(open_counts(branches)),
        ladder_seconds=LadderSeconds(trigger=seconds, ceiling=seconds),
        timing=Timing(cpu_seconds=1.0, wall_seconds=1.0, steps={}),
    )
    result.save(folder)
    write_rows(folder / BRANCHES, [branch.row() for branch in branches], SCHEMA)


@pytest.mark.slow
def test_a_climb_from_the_first_rung_finds_the_smallest_open_gain_of_the_whole_ladder(
    sparse: Model, refusal: Behavior
) -> None:
    names = ("L1.N83-", "L2.N150-", "L2.N364+", "L2.N307+", "L3.N100+")
    subject = Subject.of(sparse, refusal)
    sites = [subject.coordinate(Neuron.parse(name)) for name in names]
    measure = Measurement(subject, salt="salt")
    climbers = [Climber(site, 0) for site in sites]
    Climb(measure, refusal.confirmation)(climbers, Clock(Silent()))
    records = measure(
        "all", dose_trials(subject, "confirmation", sites, REACH, refusal.confirmation)
    )
    assert sum(climber.end == "open" for climber in climbers) >= 2
    for climber in climbers:
        own = [record for record in records if record.branch == str(climber.coordinate.branch)]
        flips = np.array(
            [[r.flipped(subject.behavior.horizon) for r in own if r.gain == gain] for gain in REACH]
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


def untimed(result: CensusResult) -> dict[str, Any]:
    """The result without what differs between two runs."""
    timed = ("timing", "ladder_seconds")
    return {key: value for key, value in result.plain().items() if key not in timed}


class Stop:
    """Ctrl-C at the beginning of one step."""

    def __init__(self, step: str) -> None:
        self.step = step

    def begin(self, step: str, total: int) -> None:
        if step == self.step:
            raise KeyboardInterrupt

    def advance(self, done: int) -> None:
        pass


@pytest.mark.slow
def test_an_interrupted_census_goes_on_and_equals_an_uninterrupted_one(
    sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    run, short = tmp_path / "run", replace(refusal, confirmation=refusal.confirmation[:4])
    with pytest.raises(KeyboardInterrupt):
        census(sparse, short, SMALL, run, Stop("climb 3"))
    assert not (run / CensusResult.file).exists()
    again, once = census(sparse, short, SMALL, run), census(sparse, short, SMALL)
    assert untimed(again) == untimed(once)
    result, branches = read_census(run, sparse, short)
    assert untimed(result) == untimed(again)
    assert census(sparse, short, SMALL, run) == again == result
    assert len(branches) == result.branches == 12
    assert {branch.source for branch in branches} <= {"forecast", "audit", "rest"}
    assert all((b.trigger is not None) == (b.source == "forecast") for b in branches)
    assert all((b.end is None) == (b.source == "rest") for b in branches)
    assert (run / BRANCHES).stat().st_size < 20_000
    with pytest.raises(
        RunFolderError,
        match=r"of another behavior \(refusal\); measure this one with fulcra census",
    ):
        read_census(run, sparse, replace(short, version="2"))


def test_the_audit_says_how_many_branches_the_forecast_may_miss() -> None:
    def branch(i: int, source: BranchSource, gain: float | None) -> MeasuredBranch:
        opened = gain is not None
        return MeasuredBranch(f"L0.N{i}+", source, "top", None, None, gain, 0.0, 1.0, opened)

    none = open_counts([branch(i, "audit", None) for i in range(30)]).missed
    few = open_counts([branch(i, "audit", 0.3 if i < 3 else None) for i in range(30)]).missed
    assert (none.rate, none.high) == (0.0, pytest.approx(0.1))
    assert few.rate == pytest.approx(0.1)
    assert few.low < 0.1 < few.high
