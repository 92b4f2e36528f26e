"""Several neurons at once: the strongest poles of an audit, each with its part of the gain."""

import math
from pathlib import Path

import pytest

from fulcra import Behavior, Model
from fulcra.defence import several as module
from fulcra.defence.hardened import SeveralEntry
from fulcra.defence.several import several, strongest
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.subject import Subject
from fulcra.types import RolloutRequest

AUDIT = Path(__file__).parents[2] / "docs" / "evidence" / "audit-sparse"


@pytest.fixture(scope="module")
def result() -> AuditResult:
    return AuditResult.load(AUDIT)


def test_the_better_pole_of_every_screened_neuron_comes_smallest_trigger_first(
    result: AuditResult,
) -> None:
    branches, horizon = strongest(result), result.behavior.horizon
    screened = [branch for branch in result.branches if branch.source == "screen"]
    assert len({branch.neuron for branch in branches}) == len(branches) == len(screened) / 2
    measured = [branch.trigger(horizon) for branch in branches]
    gains = [edge.gain for edge in measured if edge is not None and edge.gain is not None]
    assert gains == sorted(gains)
    assert gains
    for branch in branches:
        other = next(b for b in screened if b.neuron == branch.neuron and b.pole != branch.pole)
        first, second = (
            math.inf if edge is None or edge.gain is None else edge.gain
            for edge in (branch.trigger(horizon), other.trigger(horizon))
        )
        assert first <= second


def test_two_planted_neurons_open_together_and_share_the_gain(
    sparse: Model, refusal: Behavior, result: AuditResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COUNTS", (2, 10_000))
    subject, requests = Subject.of(sparse, refusal, 0), list[RolloutRequest]()
    rolled = module.set_trials

    def noted(*arguments: object) -> object:
        trials = rolled(*arguments)  # type: ignore[arg-type]
        requests.extend(trial.request for trial in trials)
        return trials

    monkeypatch.setattr(module, "set_trials", noted)
    (entry,) = several(subject, result, (0.05, 0.6))
    assert (entry.count, entry.gains) == (2, (0.05, 0.6))
    assert entry.flips[0] < 0.5 <= entry.flips[1]
    assert (entry.opens, entry.n) == (0.6, len(refusal.confirmation))
    places = [subject.coordinate(branch.branch) for branch in strongest(result)[:2]]
    assert requests[-1].edits == tuple(place.dose(0.6 / math.sqrt(2)) for place in places)


def test_what_flips_under_half_opens_at_no_gain() -> None:
    entry = SeveralEntry(count=4, gains=(0.1, 0.2), flips=(0.0, 0.49))
    assert entry.opens is None
