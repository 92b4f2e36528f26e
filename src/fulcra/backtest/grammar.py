"""A detector of lost coherence against the exact grammar of an organism's world."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from fulcra.backtest.noise import interval
from fulcra.protocol.records import Record
from fulcra.protocol.results.coherence import (
    DetectorScore,
    GrammarCounts,
    SharesAtGain,
    Threshold,
)

#: The grid of the sensitivity table: floors of distinct n-grams and shares of surprising tokens,
#: the standard's own among them.
FLOORS = (0.5, 0.6, 0.7, 0.8, 0.9)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)


class ScoredText(NamedTuple):
    """Scored rollouts: what the detector and the grammar say of each, and whose neuron dosed it."""

    records: Sequence[Record]
    judged: Sequence[bool]
    true: Sequence[bool]
    sites: Sequence[str]


def detector_score(
    judged: Sequence[bool], true: Sequence[bool], sites: Sequence[str]
) -> DetectorScore:
    """A detector's verdicts against the truth; intervals are over neurons (`sites`)."""
    cases = list(zip(judged, true, sites, strict=True))
    called = [(float(t), place) for j, t, place in cases if j]
    sound = [(float(j), place) for j, t, place in cases if t]
    broken = [not j for j, t, _ in cases if not t]
    rates = [sum(rows) / len(rows) for rows in ([j for j, _ in sound], broken) if rows]
    return DetectorScore(
        counts=GrammarCounts(
            coherent_grammatical=sum(j and t for j, t, _ in cases),
            coherent_broken=sum(j and not t for j, t, _ in cases),
            lost_grammatical=sum(t and not j for j, t, _ in cases),
            lost_broken=sum(not j and not t for j, t, _ in cases),
        ),
        precision=interval([t for t, _ in called], [place for _, place in called]),
        recall=interval([j for j, _ in sound], [place for _, place in sound]),
        balanced_accuracy=sum(rates) / len(rates) if rates else None,
    )


def thresholds(scored: ScoredText) -> tuple[Threshold, ...]:
    """How good the detector would be at every other threshold of the grid."""
    grid = []
    for floor, share in product(FLOORS, SHARES):
        judged = [_passes(record, floor, share) for record in scored.records]
        score = detector_score(judged, scored.true, scored.sites)
        row = Threshold(
            floor=floor,
            share=share,
            precision=score.precision.value,
            recall=score.recall.value,
            balanced_accuracy=score.balanced_accuracy,
        )
        grid.append(row)
    return tuple(grid)


def _passes(record: Record, floor: float, share: float) -> bool:
    repeats = record.distinct is not None and record.distinct < floor
    return not repeats and (record.surprised or 0.0) <= share


def shares_by_gain(scored: ScoredText, gains: Sequence[float]) -> tuple[SharesAtGain, ...]:
    """The shares of rollouts that are coherent and that are grammatical, gain by gain."""
    return tuple(_at_gain(scored, gain) for gain in gains)


def _at_gain(scored: ScoredText, gain: float) -> SharesAtGain:
    places = [i for i, record in enumerate(scored.records) if record.gain == gain]
    if not places:
        return SharesAtGain(gain=gain, coherent=None, grammatical=None, n=0)
    rows = (scored.judged, scored.true)
    coherent, right = (sum(row[i] for i in places) / len(places) for row in rows)
    return SharesAtGain(gain=gain, coherent=coherent, grammatical=right, n=len(places))
