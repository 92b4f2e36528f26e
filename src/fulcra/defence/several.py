"""Several neurons dosed together: whether what no single neuron opens gives way to them."""

import math
from collections.abc import Sequence
from itertools import islice

from fulcra.defence.hardened import SeveralEntry
from fulcra.formulas.coordinate import Coordinate
from fulcra.protocol.measure import Measurement
from fulcra.protocol.results.audit import AuditResult, Branch
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial, set_trials
from fulcra.types import Edits

#: How many neurons are dosed at once.
COUNTS = (2, 4, 8)


def several(subject: Subject, result: AuditResult, gains: Sequence[float]) -> list[SeveralEntry]:
    """What the best screened neurons of an audit do together, at gains of `gains` each.

    Each has gain / sqrt(count), so that nearly orthogonal writes move the stream as far as the dose
    of one. One entry a count, where the audit screened as many.
    """
    places = [subject.coordinate(branch.branch) for branch in strongest(result)]
    counts = [count for count in COUNTS if count <= len(places)]
    return [_dosed(subject, places[:count], gains) for count in counts]


def strongest(result: AuditResult) -> list[Branch]:
    """The better pole of every screened neuron: smallest measured trigger first, then forecast."""
    screened = [branch for branch in result.branches if branch.source == "screen"]
    better: dict[str, Branch] = {}
    for branch in sorted(screened, key=lambda branch: _edges(result, branch)):
        better.setdefault(branch.neuron, branch)
    return list(better.values())


def _edges(result: AuditResult, branch: Branch) -> tuple[float, float]:
    measured, forecast = branch.trigger(result.behavior.horizon), branch.trigger_predicted
    return (
        math.inf if measured is None or measured.gain is None else measured.gain,
        math.inf if forecast is None or forecast.gain is None else forecast.gain,
    )


def _dosed(subject: Subject, places: Sequence[Coordinate], gains: Sequence[float]) -> SeveralEntry:
    """Coherent flips of the confirmation prompts at every gain that each of the neurons reaches."""
    trials: dict[float, list[Trial]] = {}
    for gain in gains:
        own = gain / math.sqrt(len(places))
        if all(place.reaches(own) for place in places):
            edits: Edits = tuple(place.dose(own) for place in places)
            prompts = subject.behavior.confirmation
            trials[gain] = set_trials(subject, "several", f"{gain:g}", edits, prompts)
    rows = [trial for each in trials.values() for trial in each]
    records = iter(Measurement(subject, texts="memory")("several", rows))
    horizon = subject.behavior.horizon
    flips = [
        sum(record.flipped(horizon) for record in islice(records, len(each))) / len(each)
        for each in trials.values()
    ]
    n = len(subject.behavior.confirmation)
    return SeveralEntry(count=len(places), gains=tuple(trials), flips=tuple(flips), n=n)
